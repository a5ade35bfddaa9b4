"""A suspended tenant is silent: every session of its devices is cut, and let in again when it resumes.

What is done depends on the tenant's row as it is, not on the order in which events arrive.  Each device is banned
before it is kicked, because the ban alone keeps a will from being published (hazard 3); only when every ban is in place
are all kicked and the sessions looked for, so that one that was let in at the last moment is found.  Each session's
remembered authorizations end with it.  What a device left retained stays: a suspension deletes nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from mqtt_authz import tenant_store
from mqtt_authz.broker import BrokerAdapter, BrokerFailed
from pulse_common import audit, events
from pulse_common.consume import Consumer
from pulse_common.identity import TenantId
from pulse_common.messaging import Done, Later, Message, Never, Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID

    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, TenantTx

log = structlog.get_logger(__name__)

AT_ONCE = 32
"""Calls to the broker at the same time."""
RETRY_SECONDS = 0.5
_KINDS = {kind.subject: kind for kind in (events.TenantSuspended, events.TenantResumed)}
CONSUMER = Consumer(
    stream=events.STREAM_EVENTS,
    name="mqtt_authz_tenants",
    subjects=tuple(_KINDS),
    ack_wait_seconds=60.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCuts:
    database: Database
    broker: BrokerAdapter
    clock: Clock

    async def handle(self, message: Message) -> Outcome:
        """Do what one event asks for; anything short of a confirmation is tried again soon."""
        try:
            event = _KINDS[message.subject].model_validate_json(message.data)
        except (KeyError, ValidationError) as error:
            return Never(f"not an event of ours: {error}"[:500])
        try:
            await self._settle(event)
        except BrokerFailed as error:
            return Later(RETRY_SECONDS, str(error))
        return Done()

    async def _settle(self, event: events.TenantSuspended | events.TenantResumed) -> None:
        tenant = TenantId(event.tenant_id)
        async with self.database.service_tenant_connection("pulse_authz", tenant) as tx:
            if not await tenant_store.take_turn(tx):
                raise BrokerFailed("another replica is at this tenant")
            active = await tenant_store.is_active(tx)
            if active != isinstance(event, events.TenantResumed):
                return  # it has changed again, and another event says so
            devices = await tenant_store.devices_with_certificates(tx, self.clock())
            await (self._readmit(devices) if active else self._cut(devices))
            seconds = (self.clock() - event.at).total_seconds()
            await _record(tx, active=active, devices=len(devices), seconds=seconds)
        log.info("tenant_settled", active=active, devices=len(devices), seconds=round(seconds, 3))

    async def _cut(self, devices: Sequence[UUID]) -> None:
        await _each(devices, self._ban)
        await self.broker.kick_all(devices)
        if await self.broker.left_of(devices):
            raise BrokerFailed("a session is left after the kick")

    async def _readmit(self, devices: Sequence[UUID]) -> None:
        await _each(devices, self._let_in)

    async def _ban(self, device: UUID) -> None:
        await self.broker.ban(device, "tenant suspended")

    async def _let_in(self, device: UUID) -> None:
        await self.broker.unban(device)


async def _each(devices: Sequence[UUID], act: Callable[[UUID], Awaitable[None]]) -> None:
    """Do something for every device, a few at a time; after a failure no more is begun.

    Raises:
        BrokerFailed: for any of them.
    """
    waiting = iter(devices)

    async def work() -> None:
        for device in waiting:
            await act(device)

    results = await asyncio.gather(*(work() for _ in range(AT_ONCE)), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _record(tx: TenantTx, *, active: bool, devices: int, seconds: float) -> None:
    await audit.record(
        tx,
        audit.Act(
            actor_kind="service",
            actor_id="mqtt_authz",
            action="device.readmit" if active else "session.cut",
            object_kind="tenant",
            object_id=str(tx.tenant),
            details={"devices": devices, "seconds": seconds},
        ),
    )
