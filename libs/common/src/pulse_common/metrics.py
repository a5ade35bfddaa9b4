"""Prometheus metrics that every service has; a service adds its own beside them."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from starlette.responses import Response

HTTP_REQUESTS = Counter(
    "pulse_http_requests_total", "HTTP requests answered", ["method", "route", "status"]
)
HTTP_SECONDS = Histogram(
    "pulse_http_request_seconds", "Time to answer an HTTP request", ["method", "route"]
)
MESSAGES = Counter(
    "pulse_messages_total", "Stream messages settled", ["stream", "consumer", "outcome"]
)
RATE_LIMITS = Counter(
    "pulse_rate_limits_total", "Requests counted against a limit", ["limit", "outcome"]
)
CREDENTIALS_REFUSED = Counter("pulse_credentials_refused_total", "Refused credentials", ["reason"])
OUTBOX_SENT = Counter("pulse_outbox_sent_total", "Events published from the outbox")
OUTBOX_UNSENT = Gauge("pulse_outbox_unsent", "Events in the outbox that wait to be published")

ISOLATION_VIOLATIONS = Gauge(
    "pulse_isolation_violations", "Ways in which the catalogue does not keep tenants apart"
)
AUDIT_OBSERVED = Counter(
    "pulse_audit_observed_total",
    "Observed audit events: buffered, flushed, spooled (kept for a database that was away), dropped, refused",
    ["state"],
)
AUDIT_SPOOL_BYTES = Gauge("pulse_audit_spool_bytes", "Observed audit events that wait on disk")


def exposition() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
