"""Use cases: one tenant offers a device, another accepts it; both sides of a decision are one transaction.

The giver keeps the device, disabled, with its history; its certificates, tokens and sessions die.  The taker gets a
device of its own, under another id, and a token to enrol by.  Neither sees a row of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from provision_api import store, transfer_store
from provision_api.enrolment import require_active
from pulse_common import audit, entitlements
from pulse_common.errors import Conflict, Malformed, NotFound
from pulse_common.events_transfer import AcceptReply, OfferReply
from pulse_common.ids import PLATFORM_TENANT, new_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from provision_api.enrolment import Caller, Enrolment
    from pulse_common.clock import Clock
    from pulse_common.identity import TenantId
    from pulse_common.tenancy import Database, TenantTx


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfers:
    db: Database
    enrolment: Enrolment
    clock: Clock

    async def offer(
        self, tenant: TenantId, device_id: UUID, to: UUID, seconds: int, caller: Caller
    ) -> OfferReply:
        """Offer a device to another tenant, for a time.

        Raises:
            Malformed: to oneself, or to nobody.
            NotFound: the tenant has no such device.
            Forbidden, LimitReached: the tenant is suspended, or read-only.
            Conflict: the device is disabled, or is offered already.
        """
        if to in {tenant, PLATFORM_TENANT}:
            raise Malformed("a device is offered to another tenant")
        async with self.db.tenant_connection(tenant) as tx:
            await require_active(tx)
            (await entitlements.load(tx)).require_writable()
            device = await store.lock_device(tx, device_id)
            if device is None:
                raise NotFound("no such device")
            if device.status != "active":
                raise Conflict("the device is disabled")
            now = self.clock()
            await self._end_expired(tx, device_id, now)
            if await transfer_store.open_transfer_of(tx, device_id) is not None:
                raise Conflict("the device is offered already")
            new = transfer_store.NewOffer(
                transfer_id=new_id(),
                device_id=device_id,
                offered_to=to,
                offered_at=now,
                offered_by=caller.id,
                expires_at=now + timedelta(seconds=seconds),
            )
            await transfer_store.offer(tx, new)
            # Whether somebody is there is not told: an offer must not find tenants out.
            await transfer_store.carry(tx, new.transfer_id)
            details = {
                "transfer_id": str(new.transfer_id),
                "offered_to": str(to),
                "expires_at": new.expires_at.isoformat(),
            }
            await audit.record(tx, _act(caller, "device.transfer_offer", device_id, details))
        return OfferReply(transfer_id=new.transfer_id, expires_at=new.expires_at)

    async def withdraw(self, tenant: TenantId, transfer_id: UUID, caller: Caller) -> None:
        """Take an offer back.

        Raises:
            NotFound: no such offer of this tenant is open.
        """
        async with self.db.tenant_connection(tenant) as tx:
            await transfer_store.lock(tx, transfer_id)
            device_id = await transfer_store.withdraw(tx, transfer_id, self.clock())
            if device_id is None:
                raise NotFound("no such offer is open")
            await transfer_store.carry(tx, transfer_id)
            details = {"transfer_id": str(transfer_id)}
            await audit.record(tx, _act(caller, "device.transfer_withdraw", device_id, details))

    async def accept(self, tenant: TenantId, transfer_id: UUID, caller: Caller) -> AcceptReply:
        """Take a device that was offered to this tenant, as a device of its own.

        Raises:
            NotFound: no such offer to this tenant is open.
            Forbidden, LimitReached: the tenant is suspended, or its plan has no room.
            Conflict: the giver can no longer give it.
        """
        async with self.db.tenant_connection(tenant) as tx:
            arrival, now = await self._arrival(tx, transfer_id), self.clock()
            device = await self.enrolment.create_in(tx, new_id(), arrival.device_name, caller)
            await transfer_store.accept(
                tx, transfer_id, device_id=device.device_id, by=caller.id, now=now
            )
            if not await transfer_store.carry(tx, transfer_id):
                raise Conflict("the offer is no longer open")
            details = {"transfer_id": str(transfer_id), "from_tenant": str(arrival.from_tenant)}
            act = _act(caller, "device.transfer_accept", device.device_id, details)
            await audit.record(tx, act)
            minted = await self.enrolment.mint_in(tx, device, None, caller)
        return AcceptReply(
            device_id=device.device_id,
            name=device.name,
            token=minted.token,
            expires_at=minted.expires_at,
        )

    async def decline(self, tenant: TenantId, transfer_id: UUID, caller: Caller) -> None:
        """Say no; the giver keeps the device as it is.

        Raises:
            NotFound: no such offer to this tenant is open.
        """
        async with self.db.tenant_connection(tenant) as tx:
            arrival = await self._arrival(tx, transfer_id)
            await transfer_store.decline(tx, transfer_id, by=caller.id, now=self.clock())
            await transfer_store.carry(tx, transfer_id)
            details = {"transfer_id": str(transfer_id), "from_tenant": str(arrival.from_tenant)}
            await audit.record(
                tx, _act(caller, "device.transfer_decline", transfer_id, details, kind="transfer")
            )

    async def _arrival(self, tx: TenantTx, transfer_id: UUID) -> transfer_store.Arrival:
        await transfer_store.lock(tx, transfer_id)
        found = await transfer_store.find_arrival(tx, transfer_id, self.clock())
        if found is None:
            raise NotFound("no such offer is open")
        return found

    async def _end_expired(self, tx: TenantTx, device_id: UUID, now: datetime) -> None:
        """Offers whose time is over can't be accepted in any case; now the rows say so too."""
        known = await transfer_store.open_transfer_of(tx, device_id)
        if known is None:
            return
        await transfer_store.lock(tx, known)
        for transfer_id in await transfer_store.expire(tx, device_id, now):
            await transfer_store.carry(tx, transfer_id)
            act = audit.Act(
                actor_kind="service",
                actor_id="provision_api",
                action="device.transfer_expire",
                object_kind="device",
                object_id=str(device_id),
                details={"transfer_id": str(transfer_id)},
            )
            await audit.record(tx, act)


def _act(
    caller: Caller,
    action: audit.Action,
    object_id: UUID,
    details: Mapping[str, object],
    *,
    kind: str = "device",
) -> audit.Act:
    return audit.Act(
        actor_kind=caller.kind,
        actor_id=caller.id,
        action=action,
        object_kind=kind,
        object_id=str(object_id),
        address=caller.address,
        request_id=caller.request_id,
        details=dict(details),
    )
