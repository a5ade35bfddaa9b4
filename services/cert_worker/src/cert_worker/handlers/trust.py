"""Tell a device which authorities it is to trust and whether to renew early, and note which it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cert_worker import rollover, store_rollover
from pulse_common import events_rollover as wire
from pulse_common.errors import Conflict
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from cert_worker.authority import Authorities
    from cert_worker.store_rollover import Present
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusting:
    database: Database
    authorities: Authorities
    clock: Clock

    async def trust(self, request: wire.TrustRequest) -> wire.TrustReply:
        """Note what the device has and say what it should have; asked again at any time it costs a read.

        Raises:
            Conflict: the device has no certificate that counts.
        """
        now = self.clock()
        tenant_id = TenantId(request.tenant_id)
        async with self.database.service_tenant_connection("pulse_ca", tenant_id) as tx:
            present = await store_rollover.find_present(tx, request.device_id, now)
            if present is None:
                raise Conflict("the device has no certificate that counts: enrol again")
            await store_rollover.note_trust(tx, request.device_id, request.held, now)
            renew_in = await _renew_in(tx, request.device_id, present, now)
        return wire.TrustReply(
            authorities_pem=self.authorities.trusted_by(present.profile).decode(),
            renew_in_seconds=renew_in,
        )


async def _renew_in(tx: Tx, device_id: UUID, present: Present, now: datetime) -> int | None:
    for one in await store_rollover.list_open(tx):
        if one.state == "draining" and one.old_issuer_id == present.issuer_id:
            return int(rollover.renew_in(one, device_id, now).total_seconds())
    return None
