"""What a tenant takes with it: each of its tables, the columns that are taken, and in which order.

A column that is named nowhere is not taken, and ``tests/test_archive.py`` asks of every table and column of a tenant
whether it is taken or ``LEFT_OUT`` for a reason: hashes and sealed secrets are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot.archive_fleet import FLEET
from ui_iot.archive_messages import MESSAGES
from ui_iot.archive_standing import STANDING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ui_iot.archive_table import Table

TABLES: tuple[Table, ...] = (*STANDING, *FLEET, *MESSAGES)

#: Tables, and columns of the tables above, that nobody takes, and why.
LEFT_OUT: Mapping[str, str] = {
    "audit_seals": "comes with the sealed audit log",
    "billing_meter_events": "what billing_usage says, as it was sent to Stripe",
    "delivery_held": "messages on their way to an endpoint",
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
