"""What this service counts, beside the metrics that every service has."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

ISSUED = Counter("pulse_certificates_issued_total", "Device certificates issued")
REFUSED = Counter("pulse_certificates_refused_total", "Requests for one refused", ["code"])
REVOKED = Counter("pulse_certificates_revoked_total", "Device certificates revoked")
CRL_NUMBER = Gauge("pulse_crl_number", "Number of the revocation list that is served")
CRL_NEXT_UPDATE = Gauge(
    "pulse_crl_next_update_timestamp_seconds", "When that list goes stale, in Unix time"
)
