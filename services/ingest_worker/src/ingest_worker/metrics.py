"""What this service counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECEIVED = Counter("pulse_ingest_received_total", "MQTT messages received, repeats included")
ACCEPTED = Counter("pulse_ingest_accepted_total", "Readings that JetStream acknowledged")
REFUSED = Counter("pulse_ingest_refused_total", "Messages that were refused", ["reason"])
COMMAND_ACKS = Counter("pulse_ingest_command_acks_total", "Commands that devices acknowledged")
LIMITED = Counter(
    "pulse_ingest_limited_total", "Messages over a limit, by bucket", ["bucket", "outcome"]
)
LATE = Counter("pulse_ingest_late_total", "Readings that were put into a late lane", ["lane"])
COALESCED = Counter("pulse_ingest_coalesced_total", "Live readings replaced by newer ones")
DROPPED = Counter("pulse_ingest_dropped_qos0_total", "QoS 0 messages dropped while overloaded")
STORE_RETRIES = Counter("pulse_ingest_store_retries_total", "Publishes that JetStream did not take")
CLOCK_STEPS = Counter("pulse_ingest_clock_steps_total", "Times that the machine's clock was set")
IN_FLIGHT = Gauge("pulse_ingest_in_flight", "Messages received and not yet stored")
CONNECTED = Gauge("pulse_ingest_mqtt_connected", "1 while connected and subscribed")
STORED = Counter("pulse_ingest_stored_total", "Rows written to telemetry")
DUPLICATES = Counter("pulse_ingest_duplicates_total", "Readings that were stored before")
STORE_SECONDS = Histogram(
    "pulse_ingest_received_to_stored_seconds",
    "From the MQTT message's arrival to the commit of its row",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300, 3600),
)
ALERTS = Counter("pulse_ingest_alerts_total", "Alerts that were raised and cleared", ["what"])
ALERTS_CRASHED = Counter("pulse_ingest_alerts_crashed_total", "Batches whose judging crashed")
SCHEMAS_BROKEN = Counter(
    "pulse_ingest_schemas_broken_total", "Schemas that do not compile any more"
)
