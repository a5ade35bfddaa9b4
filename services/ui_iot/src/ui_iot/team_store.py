"""The SQL of the team: one change of a tenant's people at a time, whichever replica makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulse_common.tenancy import TenantTx


async def try_lock(tx: TenantTx) -> bool:
    """Take the tenant's team until the transaction ends; False when somebody else has it."""
    row = await tx.one(
        "SELECT pg_try_advisory_xact_lock(hashtextextended('team ' || %(tenant_id)s::text, 0)) AS locked",
        {"tenant_id": tx.tenant},
    )
    return bool(row["locked"])
