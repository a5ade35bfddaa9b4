"""What a tenant takes with it of what was said: readings, commands, alerts, deliveries, notices, the audit log."""

from __future__ import annotations

from ui_iot.archive_table import Table

MESSAGES: tuple[Table, ...] = (
    Table(
        "device_last_state",
        "telemetry",
        ("device_id",),
        "tenant_id, device_id, last_seen_at, ts, metrics",
    ),
    Table(
        "commands",
        "telemetry",
        ("command_id",),
        "tenant_id, command_id, device_id, name, arguments, actor_id, state, created_at, expires_at, settled_at,"
        " result",
    ),
    Table(
        "limit_receipts",
        "telemetry",
        ("receipt_id",),
        "tenant_id, receipt_id, device_id, bucket, outcome, since, until, refills_at, messages, bytes",
    ),
    Table(
        "refused_messages",
        "telemetry",
        ("letter_id",),
        "tenant_id, letter_id, device_id, kind, reason, received_at, size_bytes, payload, detail",
    ),
    Table(
        "alert_rules",
        "metadata",
        ("rule_id",),
        "tenant_id, rule_id, name, kind, device_ids, group_ids, metric, direction, raise_at, clear_at, hold_seconds,"
        " silent_seconds, by_mail, enabled, version, created_at, watching_since, mailed_at",
    ),
    Table(
        "alert_states",
        "telemetry",
        ("rule_id", "device_id"),
        "tenant_id, rule_id, device_id, pending_since, changed_ts, last_ts, last_value",
    ),
    Table(
        "alerts",
        "telemetry",
        ("alert_id",),
        "tenant_id, alert_id, rule_id, rule_name, kind, device_id, metric, value, raised_at, cleared_at,"
        " clear_reason, acknowledged_at, acknowledged_by, told_at",
    ),
    Table(
        "routes",
        "metadata",
        ("route_id",),
        "tenant_id, route_id, name, url, event_types, device_ids, group_ids, metrics, template, ordered,"
        " timeout_seconds, concurrency, status, failing_since, dropped, dropped_at, version, created_at",
    ),
    Table(
        "delivery_attempts",
        "metadata",
        ("attempt_id",),
        "tenant_id, attempt_id, route_id, delivery_id, event_type, device_id, attempt, attempted_at, stage, delivered,"
        " status, error, latency_ms, response_body",
    ),
    Table(
        "delivery_dead_letters",
        "telemetry",
        ("delivery_id",),
        "tenant_id, delivery_id, route_id, event_type, device_id, died_at, attempts, reason, message",
    ),
    Table(
        "notices",
        "telemetry",
        ("notice_id",),
        "tenant_id, notice_id, topic, notice_key, title, body, path, recipients, raised_at, told_to, told_at",
    ),
    Table(
        "notice_refusals",
        "metadata",
        ("address", "topic"),
        "tenant_id, address, topic, refused_at",
    ),
    Table(
        "telemetry",
        "telemetry",
        ("device_id", "ts", "message_id"),
        "tenant_id, device_id, ts, message_id, metrics, received_at, stored_at",
    ),
    Table(
        "audit_log",
        "platform",
        ("at", "audit_id"),
        "tenant_id, audit_id, at, service, actor_kind, actor_id, action, object_kind, object_id, outcome, reason,"
        " address, user_agent, request_id, before, after, details",
    ),
)
