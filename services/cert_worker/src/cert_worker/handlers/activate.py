"""Let a CA issue where none does: the one that did was revoked, and there is nothing to roll over from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cert_worker import store, store_rollover
from cert_worker.sight import issuer_seen
from pulse_common import audit, outbox
from pulse_common import events_rollover as wire
from pulse_common.errors import Conflict, NotFound
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT

if TYPE_CHECKING:
    from cert_worker.authority import Authorities
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Activating:
    database: Database
    authorities: Authorities
    clock: Clock

    async def activate(self, request: wire.ActivateIssuerRequest) -> wire.IssuerReply:
        """Make it the one that issues for its profile.

        Raises:
            NotFound: there is no such issuing CA.
            Conflict: it neither stands by nor drains, or another one issues for the profile: roll over from that.
        """
        platform = TenantId(PLATFORM_TENANT)
        async with self.database.service_tenant_connection("pulse_ca", platform) as tx:
            await store.lock_authority(tx)
            issuers = [one for one in await store.list_issuers(tx) if one.kind == "issuing"]
            issuer = next((one for one in issuers if one.issuer_id == request.issuer_id), None)
            if issuer is None:
                raise NotFound("no such issuing authority")
            if any((one.status, one.profile) == ("active", issuer.profile) for one in issuers):
                raise Conflict(f"another authority issues for {issuer.profile}: roll over from it")
            if issuer.status not in ("standby", "draining"):
                raise Conflict(f"that issuer is {issuer.status}")
            now = self.clock()
            await store_rollover.set_status(tx, issuer.issuer_id, "active")
            act = audit.Act(
                actor_kind=request.actor_kind,
                actor_id=request.actor_id,
                action="issuer.activate",
                object_kind="issuer",
                object_id=str(issuer.issuer_id),
                reason=request.reason,
                request_id=request.request_id,
            )
            await audit.record(tx, act)
            activated = wire.IssuerActivated(
                tenant_id=platform,
                at=now,
                issuer_id=issuer.issuer_id,
                profile=str(issuer.profile),
            )
            await outbox.emit(tx, activated)
        await self.authorities.refresh()
        return wire.IssuerReply(issuer=issuer_seen(replace(issuer, status="active")))
