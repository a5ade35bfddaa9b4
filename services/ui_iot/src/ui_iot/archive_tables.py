"""What a tenant takes with it: each of its tables, the columns that are taken, and in which order.

A column that is named nowhere is not taken, and ``tests/test_archive.py`` asks of every table and column of a tenant
whether it is taken or ``LEFT_OUT`` for a reason: hashes and sealed secrets are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, LiteralString

if TYPE_CHECKING:
    from collections.abc import Mapping

Reach = Literal["telemetry", "secrets", "metadata", "platform", "tenant"]
"""What an operator needs to take it for the tenant: a grant of that scope (where the tenant demands one), nothing
(``platform``: the platform's own record of the tenant), or it is the tenant's alone to take."""


@dataclass(frozen=True, slots=True)
class Table:
    name: LiteralString
    reach: Reach
    key: tuple[LiteralString, ...]
    columns: LiteralString


TABLES: tuple[Table, ...] = (
    Table(
        "tenants",
        "platform",
        ("tenant_id",),
        "tenant_id, name, status, created_at, status_reason, status_changed_at, exported_at, purge_after",
    ),
    Table(
        "tenant_access_policies",
        "platform",
        ("tenant_id",),
        "tenant_id, telemetry_needs_approval, secrets_need_approval, metadata_needs_approval, notice_emails,"
        " updated_at, updated_by",
    ),
    Table(
        "operator_grants",
        "platform",
        ("grant_id",),
        "tenant_id, grant_id, kind, operator_id, operator_name, scopes, reason, ticket, seconds, status,"
        " requested_at, decided_at, decided_by, second_operator_name, begins_at, ends_at",
    ),
    Table(
        "device_profiles",
        "metadata",
        ("profile_id",),
        "tenant_id, profile_id, name, tokens_allowed, telemetry_schema, version, created_at, certificate_profile",
    ),
    Table(
        "devices",
        "metadata",
        ("device_id",),
        "tenant_id, device_id, name, status, created_at, version, tokens_allowed, profile_id",
    ),
    Table(
        "device_groups", "metadata", ("group_id",), "tenant_id, group_id, name, version, created_at"
    ),
    Table(
        "device_group_members",
        "metadata",
        ("group_id", "device_id"),
        "tenant_id, group_id, device_id",
    ),
    Table(
        "certificates",
        "metadata",
        ("certificate_id",),
        "tenant_id, certificate_id, device_id, issuer_id, serial_number, fingerprint_sha256, public_key_sha256,"
        " certificate_der, not_before, not_after, status, revoked_at, revocation_reason, session_cut_at, created_at,"
        " profile, crl_shard, released_at, renewal, first_used_at, superseded, asked_again_at, key_checked_at,"
        " key_fault",
    ),
    Table(
        "enrolment_tokens",
        "secrets",
        ("token_id",),
        "tenant_id, token_id, device_id, expires_at, used_at, created_at, created_by",
    ),
    Table(
        "device_tokens",
        "secrets",
        ("token_id",),
        "tenant_id, token_id, device_id, created_at, created_by, expires_at, revoked_at",
    ),
    Table(
        "enrolment_profiles",
        "tenant",
        ("enrolment_profile_id",),
        "tenant_id, enrolment_profile_id, name, label, method, approval, known_only, device_profile_id, status,"
        " most_devices, most_per_hour, devices, hour_began_at, devices_this_hour, version, created_at",
    ),
    Table(
        "claim_certificates",
        "tenant",
        ("claim_certificate_id",),
        "tenant_id, claim_certificate_id, enrolment_profile_id, serial_number, fingerprint_sha256, not_before,"
        " not_after, created_at, created_by, revoked_at, uses, last_used_at",
    ),
    Table(
        "hardware_ids",
        "tenant",
        ("hardware_id",),
        "tenant_id, hardware_id, enrolment_profile_id, device_id, name, state, maker_key_sha256, asked_key_sha256,"
        " asked_at, asked_from, decided_at, decided_by, enrolled_at, certificates, created_at",
    ),
    Table(
        "device_imports",
        "tenant",
        ("import_id",),
        "tenant_id, import_id, format, state, enrolment_profile_id, with_tokens, received_bytes, read_bytes, line,"
        " columns, created_devices, unchanged_rows, refused_rows, reason, created_by, created_at, finished_at,"
        " tokens_begun_at, tokens_taken_at",
    ),
    Table(
        "device_import_rows",
        "tenant",
        ("import_id", "line"),
        "tenant_id, import_id, line, hardware_id, device_id, problem",
    ),
    Table(
        "device_rescues",
        "tenant",
        ("rescue_id",),
        "tenant_id, rescue_id, device_id, certificate_id, status, opened_at, opened_by, ends_at, used_at",
    ),
    Table(
        "device_transfers",
        "tenant",
        ("transfer_id",),
        "tenant_id, transfer_id, device_id, offered_to, status, offered_at, offered_by, expires_at, decided_at",
    ),
    Table(
        "device_arrivals",
        "tenant",
        ("transfer_id",),
        "tenant_id, transfer_id, from_tenant, from_name, device_name, status, offered_at, expires_at, decided_at,"
        " decided_by, device_id",
    ),
    Table("device_trust", "tenant", ("device_id",), "tenant_id, device_id, authorities, told_at"),
    Table(
        "expiry_warnings",
        "tenant",
        ("kind", "subject_id", "days"),
        "tenant_id, kind, subject_id, days, not_after, warned_at",
    ),
    Table(
        "broker_denials",
        "platform",
        ("denial_id",),
        "tenant_id, denial_id, device_id, at, action, reason, rule, topic, serial_number, address, times",
    ),
    Table(
        "session_conflicts",
        "platform",
        ("device_id", "serial_number", "address", "other_address"),
        "tenant_id, device_id, serial_number, address, other_address, first_at, last_at, times",
    ),
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
        "tenant",
        ("rule_id",),
        "tenant_id, rule_id, name, kind, device_ids, group_ids, metric, direction, raise_at, clear_at, hold_seconds,"
        " silent_seconds, by_mail, enabled, version, created_at, watching_since, mailed_at",
    ),
    Table(
        "alert_states",
        "tenant",
        ("rule_id", "device_id"),
        "tenant_id, rule_id, device_id, pending_since, changed_ts, last_ts, last_value",
    ),
    Table(
        "alerts",
        "tenant",
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
        "tenant",
        ("notice_id",),
        "tenant_id, notice_id, topic, notice_key, title, body, path, recipients, raised_at, told_to, told_at",
    ),
    Table(
        "notice_refusals",
        "tenant",
        ("address", "topic"),
        "tenant_id, address, topic, refused_at",
    ),
    Table(
        "billing_customers",
        "platform",
        ("tenant_id",),
        "tenant_id, customer_id, livemode, features, deleted_at, linked_at",
    ),
    Table(
        "billing_subscriptions",
        "platform",
        ("subscription_id",),
        "tenant_id, subscription_id, customer_id, status, price_ids, plan_id, quantity, cancel_at_period_end,"
        " current_period_end, trial_end, stripe_created_at, unpaid_since, event_id, updated_at",
    ),
    Table(
        "billing_entitlements",
        "platform",
        ("tenant_id",),
        "tenant_id, version, plan_id, access, devices, messages_per_second, messages_per_month, retention_days, routes,"
        " seats, hard_limits, features, cause, event_id, applied_at",
    ),
    Table(
        "billing_overrides",
        "platform",
        ("override_id",),
        "tenant_id, override_id, limit_name, amount, reason, created_by, created_at, expires_at",
    ),
    Table(
        "billing_changes",
        "platform",
        ("version",),
        "tenant_id, version, plan_id, access, limits, cause, event_id, applied_at",
    ),
    Table(
        "billing_usage", "platform", ("metric", "day"), "tenant_id, metric, day, amount, metered"
    ),
    Table(
        "billing_notices",
        "platform",
        ("notice_key",),
        "tenant_id, notice_key, kind, event_id, noticed_at",
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

#: Tables, and columns of the tables above, that nobody takes, and why.
LEFT_OUT: Mapping[str, str] = {
    "audit_seals": "comes with the sealed audit log",
    "billing_meter_events": "what billing_usage says, as it was sent to Stripe",
    "device_import_parts": "what was uploaded and is not read yet",
    "idempotency_keys": "hashes and sealed answers, for a day",
    "outbox": "events on their way to where they are told",
    "route_audit_cursors": "a place in the audit log",
    "enrolment_tokens.token_hash": "a secret's hash",
    "device_tokens.token_hash": "a secret's hash",
    "device_tokens.session_cut_at": "the broker's own note",
    "hardware_ids.secret_sha256": "a secret's hash",
    "routes.secret_sealed": "a secret",
    "routes.previous_secret_sealed": "a secret",
    "routes.previous_secret_until": "says when a secret ends",
    "routes.failing_told_at": "delivery_worker's own note",
    "routes.dropped_told_at": "delivery_worker's own note",
    "notices.patience_seconds": "the mailer's own note",
    "notices.claimed_until": "the mailer's own note",
    "notices.unsure": "the mailer's own note",
    "audit_log.xid": "the sealer's own note",
}
