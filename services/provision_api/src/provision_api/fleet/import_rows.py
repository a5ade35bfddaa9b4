"""Every SQL statement about the lines of an import: what became of each, and the tokens of the devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import Row, TenantTx


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a line: a device, or a problem."""

    line: int
    hardware_id: str | None
    device_id: UUID | None
    problem: str | None


async def keep_outcomes(tx: TenantTx, import_id: UUID, outcomes: Sequence[Outcome]) -> None:
    await tx.execute(
        """
        INSERT INTO device_import_rows (tenant_id, import_id, line, hardware_id, device_id, problem)
        SELECT %(tenant)s, %(import_id)s, r.line, r.hardware_id, r.device_id, r.problem
          FROM unnest(%(lines)s::integer[], %(hardware_ids)s::text[], %(device_ids)s::uuid[], %(problems)s::text[])
               AS r (line, hardware_id, device_id, problem)
        """,
        {
            "tenant": tx.tenant,
            "import_id": import_id,
            "lines": [one.line for one in outcomes],
            "hardware_ids": [one.hardware_id for one in outcomes],
            "device_ids": [one.device_id for one in outcomes],
            "problems": [None if one.problem is None else one.problem[:200] for one in outcomes],
        },
    )


async def devices_after(tx: TenantTx, import_id: UUID, line: int, limit: int) -> Sequence[Row]:
    """Return the import's devices that are still there and active, from below a line."""
    return await tx.all(
        """
        SELECT r.line, r.hardware_id, r.device_id
          FROM device_import_rows r JOIN devices d USING (tenant_id, device_id)
         WHERE r.tenant_id = %(tenant)s AND r.import_id = %(import_id)s AND r.line > %(line)s
           AND d.status = 'active'
         ORDER BY r.line LIMIT %(limit)s
        """,
        {"tenant": tx.tenant, "import_id": import_id, "line": line, "limit": limit},
    )


async def end_tokens(tx: TenantTx, import_id: UUID, since: datetime, now: datetime) -> None:
    """End the unused tokens of a download that broke off: who has the first half of it may not use it."""
    await tx.execute(
        """
        UPDATE enrolment_tokens t SET expires_at = %(now)s
          FROM device_import_rows r
         WHERE r.tenant_id = %(tenant)s AND r.import_id = %(import_id)s AND t.tenant_id = r.tenant_id
           AND t.device_id = r.device_id AND t.used_at IS NULL AND t.created_at >= %(since)s
           AND t.expires_at > %(now)s
        """,
        {"tenant": tx.tenant, "import_id": import_id, "since": since, "now": now},
    )


async def create_tokens(
    tx: TenantTx, device_ids: Sequence[UUID], values: dict[str, object]
) -> None:
    await tx.execute(
        """
        INSERT INTO enrolment_tokens (tenant_id, token_id, device_id, token_hash, expires_at, created_by, created_at)
        SELECT %(tenant)s, r.token_id, r.device_id, r.token_hash, %(expires_at)s, %(created_by)s, %(now)s
          FROM unnest(%(token_ids)s::uuid[], %(device_ids)s::uuid[], %(hashes)s::bytea[])
               AS r (token_id, device_id, token_hash)
        """,
        {"tenant": tx.tenant, "device_ids": list(device_ids), **values},
    )
