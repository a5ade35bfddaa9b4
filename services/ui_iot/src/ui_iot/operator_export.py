"""A tenant's rows as JSON lines, as far as the operator is let in: a manifest, the rows, and a count at the end.

The last line says what was withheld; without it an archive is not whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString

from pulse_common.errors import NotFound
from pulse_common.identity import TenantId
from ui_iot import operator_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from uuid import UUID

    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, OperatorTx
    from ui_iot.operator_changes import OperatorChanges
    from ui_iot.operators import Operator

PAGE = 1000
_NIL = "00000000-0000-0000-0000-000000000000"
_START: Mapping[str, object] = {"d": _NIL, "at": datetime(1, 1, 1, tzinfo=UTC), "m": _NIL}
_TABLES: dict[str, LiteralString] = {
    "devices": """
        SELECT device_id AS d, to_jsonb(t) AS row FROM devices t
         WHERE tenant_id = %(tenant)s AND device_id > %(d)s ORDER BY device_id LIMIT %(page)s
    """,
    "certificates": """
        SELECT certificate_id AS d, to_jsonb(t) AS row FROM certificates t
         WHERE tenant_id = %(tenant)s AND certificate_id > %(d)s ORDER BY certificate_id LIMIT %(page)s
    """,
    "enrolment_tokens": """
        SELECT token_id AS d, jsonb_build_object('token_id', token_id, 'device_id', device_id,
               'expires_at', expires_at, 'used_at', used_at, 'created_by', created_by) AS row
          FROM enrolment_tokens
         WHERE tenant_id = %(tenant)s AND token_id > %(d)s ORDER BY token_id LIMIT %(page)s
    """,
    "device_last_state": """
        SELECT device_id AS d, to_jsonb(t) AS row FROM device_last_state t
         WHERE tenant_id = %(tenant)s AND device_id > %(d)s ORDER BY device_id LIMIT %(page)s
    """,
    "telemetry": """
        SELECT device_id AS d, ts AS at, message_id AS m, to_jsonb(t) AS row FROM telemetry t
         WHERE tenant_id = %(tenant)s AND (device_id, ts, message_id) > (%(d)s, %(at)s, %(m)s)
         ORDER BY device_id, ts, message_id LIMIT %(page)s
    """,
}
_SCOPES = """
    SELECT s.scope,
           s.undemanded OR EXISTS (SELECT FROM operator_grants g
                                    WHERE g.tenant_id = %(tenant)s AND g.status = 'active' AND s.scope = ANY (g.scopes)
                                      AND now() >= g.begins_at AND now() < g.ends_at) AS open
      FROM (VALUES ('telemetry', EXISTS (SELECT FROM tenant_access_policies p WHERE p.tenant_id = %(tenant)s
                                            AND NOT p.telemetry_needs_approval)),
                   ('secrets', EXISTS (SELECT FROM tenant_access_policies p WHERE p.tenant_id = %(tenant)s
                                          AND NOT p.secrets_need_approval)),
                   ('metadata', NOT EXISTS (SELECT FROM tenant_access_policies p WHERE p.tenant_id = %(tenant)s
                                               AND p.metadata_needs_approval))) AS s (scope, undemanded)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorExport:
    db: Database
    changes: OperatorChanges
    clock: Clock

    async def lines(self, who: Operator, tenant: UUID) -> AsyncIterator[bytes]:
        """Yield the archive line by line; a complete one is noted, since a deletion asks for it."""
        rows = 0
        async with self.db.operator_data_connection(
            who.id,
            who.reason,
            tenants=[TenantId(tenant)],
            purpose="export a tenant",
            name=who.name,
        ) as tx:
            scopes = await tx.all(_SCOPES, {"tenant": tenant})
            withheld = sorted(str(row["scope"]) for row in scopes if not row["open"])
            yield _line(
                kind="manifest", tenant_id=str(tenant), at=self.clock(), tables=sorted(_TABLES)
            )
            for table, query in _TABLES.items():
                async for row in _rows(tx, query, tenant):
                    rows += 1
                    yield _line(kind="row", table=table, row=row)
        if not withheld:
            await self.changes.note_export(who, tenant, rows)
        yield _line(kind="end", rows=rows, withheld=withheld)

    async def require_tenant(self, who: Operator, tenant: UUID) -> None:
        """Refuse before the first byte, since afterwards the status has gone out."""
        async with self.db.operator_read_connection(
            who.id, who.reason, tenants=[TenantId(tenant)], purpose="export", name=who.name
        ) as tx:
            if not await operator_store.tenants(tx, tenant):
                raise NotFound("no such tenant")


async def _rows(tx: OperatorTx, query: LiteralString, tenant: UUID) -> AsyncIterator[Any]:
    after = _START
    while True:
        found = await tx.all(query, {**after, "tenant": tenant, "page": PAGE})
        for row in found:
            yield row["row"]
        if len(found) < PAGE:
            return
        after = {**_START, **{key: found[-1][key] for key in ("d", "at", "m") if key in found[-1]}}


def _line(**fields: object) -> bytes:
    return json.dumps(fields, default=str, ensure_ascii=False).encode() + b"\n"
