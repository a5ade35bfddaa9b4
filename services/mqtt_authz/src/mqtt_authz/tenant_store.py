"""The SQL of cutting and readmitting a whole tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from mqtt_authz import ways_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx

# The gate's role reads every tenant, so the statements name the tenant themselves.
_TAKE_TURN = """
    SELECT pg_try_advisory_xact_lock(hashtextextended('pulse.tenant_cut.' || %(tenant_id)s::uuid::text, 0)) AS taken
"""
_IS_ACTIVE = "SELECT status = 'active' AS active FROM tenants WHERE tenant_id = %(tenant_id)s"
_DEVICES: LiteralString = f"""
    SELECT d.device_id
      FROM devices d
     WHERE d.tenant_id = %(tenant_id)s AND d.status = 'active' AND ({ways_in.SOME_WAY})
     ORDER BY d.device_id
"""  # noqa: S608 -- constants of ours


async def take_turn(tx: TenantTx) -> bool:
    """Hold the tenant's sessions alone until the transaction ends; False when another replica holds them."""
    return bool((await tx.one(_TAKE_TURN, {"tenant_id": tx.tenant}))["taken"])


async def is_active(tx: TenantTx) -> bool:
    row = await tx.one_or_none(_IS_ACTIVE, {"tenant_id": tx.tenant})
    return row is not None and bool(row["active"])


async def devices_with_certificates(tx: TenantTx, now: datetime) -> Sequence[UUID]:
    """List the devices that the gate would let in if the tenant were active."""
    rows = await tx.all(_DEVICES, {"tenant_id": tx.tenant, "now": now})
    return [row["device_id"] for row in rows]
