"""What a tenant takes with it of its devices: who they are, how they proved it, and what kept them out."""

from __future__ import annotations

from ui_iot.archive_table import Table

FLEET: tuple[Table, ...] = (
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
        "tenant_id, device_id, name, status, created_at, version, tokens_allowed, profile_id, given_away",
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
        "metadata",
        ("enrolment_profile_id",),
        "tenant_id, enrolment_profile_id, name, label, method, approval, known_only, device_profile_id, status,"
        " most_devices, most_per_hour, devices, hour_began_at, devices_this_hour, version, created_at",
    ),
    Table(
        "claim_certificates",
        "metadata",
        ("claim_certificate_id",),
        "tenant_id, claim_certificate_id, enrolment_profile_id, serial_number, fingerprint_sha256, not_before,"
        " not_after, created_at, created_by, revoked_at, uses, last_used_at",
    ),
    Table(
        "hardware_ids",
        "metadata",
        ("hardware_id",),
        "tenant_id, hardware_id, enrolment_profile_id, device_id, name, state, maker_key_sha256, asked_key_sha256,"
        " asked_at, asked_from, decided_at, decided_by, enrolled_at, certificates, created_at",
    ),
    Table(
        "device_imports",
        "metadata",
        ("import_id",),
        "tenant_id, import_id, format, state, enrolment_profile_id, with_tokens, received_bytes, read_bytes, line,"
        " columns, created_devices, unchanged_rows, refused_rows, reason, created_by, created_at, finished_at,"
        " tokens_begun_at, tokens_taken_at",
    ),
    Table(
        "device_import_rows",
        "metadata",
        ("import_id", "line"),
        "tenant_id, import_id, line, hardware_id, device_id, problem",
    ),
    Table(
        "device_rescues",
        "metadata",
        ("rescue_id",),
        "tenant_id, rescue_id, device_id, certificate_id, status, opened_at, opened_by, ends_at, used_at",
    ),
    Table(
        "device_transfers",
        "metadata",
        ("transfer_id",),
        "tenant_id, transfer_id, device_id, offered_to, status, offered_at, offered_by, expires_at, decided_at",
    ),
    Table(
        "device_arrivals",
        "metadata",
        ("transfer_id",),
        "tenant_id, transfer_id, from_tenant, from_name, device_name, status, offered_at, expires_at, decided_at,"
        " decided_by, device_id",
    ),
    Table("device_trust", "metadata", ("device_id",), "tenant_id, device_id, authorities, told_at"),
    Table(
        "expiry_warnings",
        "metadata",
        ("kind", "subject_id", "days"),
        "tenant_id, kind, subject_id, days, not_after, warned_at, subject_name",
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
)
