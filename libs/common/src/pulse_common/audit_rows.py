"""The audit log's rows as texts, the same for whoever seals, exports or searches them.

The order of the columns and the form of each text are part of what is hashed (docs/operations/audit.md): a change here
is a new version of the format.
"""

from __future__ import annotations

from typing import LiteralString

FIELDS = (
    *("tenant_id", "audit_id", "at", "service", "actor_kind", "actor_id", "action", "object_kind"),
    *("object_id", "outcome", "reason", "address", "user_agent", "request_id"),
    *("before", "after", "details"),
)
TEXTS: LiteralString = """
    tenant_id::text AS tenant_id, audit_id::text AS audit_id,
    to_char(audit_log.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, service::text AS service,
    actor_kind, actor_id, action, object_kind, object_id, outcome, reason, address, user_agent, request_id,
    before::text AS before, after::text AS after, details::text AS details
"""
SEALING_ORDER: LiteralString = "audit_log.xid, audit_log.at, audit_log.audit_id"
"""Within one tenant: by transaction, then by time.  A row of a transaction that is over can have nothing before it."""
