"""The SQL of looking at the keys of certificates that were issued: which are due, and what was found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx, Tx

# Those that nobody has looked at come first.
_DUE = """
    SELECT tenant_id, certificate_id, certificate_der
      FROM certificates
     WHERE status <> 'revoked' AND (key_checked_at IS NULL OR key_checked_at < %(stale)s)
     ORDER BY key_checked_at NULLS FIRST
     LIMIT %(limit)s
"""
_FOUND = """
    UPDATE certificates c
       SET key_checked_at = %(now)s, key_fault = r.fault
      FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (certificate_id uuid, fault text)
     WHERE c.tenant_id = %(tenant_id)s AND c.certificate_id = r.certificate_id
"""


@dataclass(frozen=True, slots=True)
class Due:
    tenant: TenantId
    certificate: UUID
    der: bytes


async def find_due(tx: Tx, stale: datetime, limit: int) -> list[Due]:
    rows = await tx.all(_DUE, {"stale": stale, "limit": limit})
    return [
        Due(TenantId(row["tenant_id"]), row["certificate_id"], bytes(row["certificate_der"]))
        for row in rows
    ]


async def keep_found(tx: TenantTx, faults: Mapping[UUID, str | None], now: datetime) -> None:
    rows = [{"certificate_id": str(id_), "fault": fault} for id_, fault in faults.items()]
    await tx.execute(_FOUND, {"tenant_id": tx.tenant, "rows": json.dumps(rows), "now": now})
