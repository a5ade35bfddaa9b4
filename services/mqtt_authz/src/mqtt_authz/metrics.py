"""What this service counts."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

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
