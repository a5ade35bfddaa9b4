"""What a tenant takes with it of its own standing: its settings, who looked at it, and its bills."""

from __future__ import annotations

from ui_iot.archive_table import Table

STANDING: tuple[Table, ...] = (
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
)
