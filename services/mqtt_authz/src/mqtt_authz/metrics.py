"""What this service counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

DECISIONS = Counter(
    "pulse_mqtt_decisions_total", "Questions of the broker answered", ["question", "reason"]
)
SECRETS = Counter(
    "pulse_mqtt_auth_secret_total", "Requests by the shared secret they showed", ["secret"]
)
SILENCE_SECONDS = Histogram(
    "pulse_mqtt_revocation_to_silence_seconds",
    "From a revocation to the broker's word that nothing of the device is left",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
)
CUT_RETRIES = Counter("pulse_mqtt_cut_retries_total", "Cuts that the broker did not confirm yet")
STANDINGS = Counter(
    "pulse_mqtt_standings_total",
    "Certificates looked up: remembered, asked of the database, or believed while it is away",
    ["from"],
)
STANDINGS_KNOWN = Gauge("pulse_mqtt_standings_known", "Certificates remembered")
SWEPT = Counter("pulse_mqtt_swept_total", "What a sweep of the broker put right", ["what"])
DENIALS = Counter(
    "pulse_mqtt_denials_total", "Refusals for the tenants' pages, by what became of them", ["fate"]
)
CONFLICTS = Counter(
    "pulse_mqtt_conflicts_total", "Signs that one certificate or token is in two places"
)
