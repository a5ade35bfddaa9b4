"""The SQL of a device's refusals, under the tenant's own role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx

_DENIALS = """
    SELECT at, action, reason, rule, topic, serial_number, address, times
      FROM broker_denials
     WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s
     ORDER BY at DESC, denial_id DESC
     LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Denial:
    at: datetime
    action: str
    reason: str
    rule: str | None
    topic: str | None
    serial_number: str | None
    address: str | None
    times: int


async def recent_denials(tx: TenantTx, device_id: UUID, limit: int) -> Sequence[Denial]:
    values = {"tenant_id": tx.tenant, "device_id": device_id, "limit": limit}
    return [Denial(**row) for row in await tx.all(_DENIALS, values)]
