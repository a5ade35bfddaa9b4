"""Revoked means silent: cut what the broker still has of a device, until the broker confirms that nothing is left.

The order matters (hazard 3): the certificate is marked revoked before we hear of it; the ban comes first, because it
alone keeps the will of a kicked client from being published; then the cached permissions, the session, what it left
retained, and the confirmation.  A crash at any point repeats the whole, which is harmless.

Two replicas never work on one device at once: an advisory lock is held for the length of the transaction, broker calls
included.  What is done depends on the rows as they are, not on the order in which events arrive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from mqtt_authz import metrics, session_store, token_store
from mqtt_authz.acl import state_topic
from mqtt_authz.broker import BrokerAdapter, BrokerFailed
from pulse_common import audit, events, outbox
from pulse_common.audit import Act
from pulse_common.identity import TenantId
from pulse_common.messaging import Done, Later, Message, Never, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from mqtt_authz.broker import Session
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, TenantTx

log = structlog.get_logger(__name__)

SHORTEST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 5.0

_KINDS = {
    kind.subject: kind
    for kind in (
        events.CertificateRevoked,
        events.CertificateReleased,
        events.DeviceDisabled,
        events.DeviceEnrolled,
        events.DeviceTokenMinted,
        events.DeviceTokenRevoked,
    )
}
SUBJECTS = tuple(_KINDS)
Heard = (
    events.CertificateRevoked
    | events.CertificateReleased
    | events.DeviceDisabled
    | events.DeviceEnrolled
    | events.DeviceTokenMinted
    | events.DeviceTokenRevoked
)


class Revocation:
    def __init__(self, *, database: Database, broker: BrokerAdapter, clock: Clock) -> None:
        self._database = database
        self._broker = broker
        self._clock = clock

    async def handle(self, message: Message) -> Outcome:
        """Do what one event asks for; anything short of a confirmation is tried again soon."""
        try:
            event = _KINDS[message.subject].model_validate_json(message.data)
        except (KeyError, ValidationError) as error:
            return Never(f"not an event of ours: {error}"[:500])
        try:
            cut = await self._settle(event)
        except BrokerFailed as error:
            metrics.CUT_RETRIES.inc()
            return Later(_back_off(message.deliveries), str(error))
        if cut is not None:
            metrics.SILENCE_SECONDS.observe(cut.seconds)
            log.info("session_cut", device_id=str(cut.device_id), seconds=round(cut.seconds, 3))
        return Done()

    async def cut_unwelcome(self, tenant: TenantId, session: Session) -> bool:
        """Cut a session that a sweep found, unless it is right by now or another replica is at the device."""
        device = session.device
        async with self._database.service_tenant_connection("pulse_authz", tenant) as tx:
            now = self._clock()
            if not await session_store.take_turn(tx, device):
                return False
            found = await session_store.find_unwelcome(tx, [session], now)
            if not found:
                return False
            # A suspension deletes nothing (see tenant_cuts.py).
            left = _left_by(tx, device) if found[0].tenant_active else ()
            await self._silence(device, "may not connect", left)
            await self._readmit(tx, device)
            await _tell(tx, device, None, since=now, now=self._clock())
        log.warning("stray_session_cut", device_id=str(device))
        return True

    async def readmit(self, tenant: TenantId, device: UUID) -> bool:
        """Lift a ban that a sweep found, unless another replica is at the device."""
        async with self._database.service_tenant_connection("pulse_authz", tenant) as tx:
            return await session_store.take_turn(tx, device) and await self._readmit(tx, device)

    async def _settle(self, event: Heard) -> events.SessionCut | None:
        """Work in one transaction; returns the cut that it confirmed, if there was one to make."""
        tenant = TenantId(event.tenant_id)
        async with self._database.service_tenant_connection("pulse_authz", tenant) as tx:
            if not await session_store.take_turn(tx, event.device_id):
                raise BrokerFailed("another replica is at this device")
            match event:
                case events.CertificateRevoked():
                    return await self._cut_certificate(tx, event)
                case events.DeviceDisabled():
                    return await self._cut_device(tx, event)
                case events.DeviceTokenRevoked():
                    return await self._cut_token(tx, event)
                case (
                    events.DeviceEnrolled()
                    | events.CertificateReleased()
                    | events.DeviceTokenMinted()
                ):
                    await self._readmit(tx, event.device_id)
                    return None

    async def _cut_certificate(
        self, tx: TenantTx, event: events.CertificateRevoked
    ) -> events.SessionCut | None:
        found = await session_store.find_uncut_revocation(tx, event.device_id, event.certificate_id)
        if found is None:
            return None
        await self._silence(event.device_id, "certificate revoked", _left_by(tx, event.device_id))
        now = max(self._clock(), found)  # two machines' clocks differ
        await session_store.confirm_certificate(tx, event.certificate_id, now)
        await self._readmit(tx, event.device_id)
        return await _tell(tx, event.device_id, event.certificate_id, since=found, now=now)

    async def _cut_token(
        self, tx: TenantTx, event: events.DeviceTokenRevoked
    ) -> events.SessionCut | None:
        found = await token_store.find_uncut_revocation(tx, event.device_id, event.token_id)
        if found is None:
            return None
        await self._silence(event.device_id, "token revoked", _left_by(tx, event.device_id))
        now = max(self._clock(), found)
        await token_store.confirm_cut(tx, event.token_id, now)
        await self._readmit(tx, event.device_id)
        return await _tell(tx, event.device_id, None, since=found, now=now)

    async def _cut_device(
        self, tx: TenantTx, event: events.DeviceDisabled
    ) -> events.SessionCut | None:
        if not await session_store.is_uncut_disabling(tx, event.device_id, event.at):
            return None
        await self._silence(event.device_id, "device disabled", _left_by(tx, event.device_id))
        now = max(self._clock(), event.at)
        await session_store.confirm_device(tx, event.device_id, now)
        return await _tell(tx, event.device_id, None, since=event.at, now=now)

    async def _silence(self, device: UUID, why: str, retained: Sequence[str]) -> None:
        """Leave nothing of the device at the broker, the ``retained`` topics included.

        Raises:
            BrokerFailed: something could not be done, or a session is left all the same.
        """
        await self._broker.ban(device, why)
        await self._broker.drop_authorization_cache(device)
        await self._broker.kick(device)
        await self._broker.purge_retained(retained)
        if await self._broker.has_session(device):
            raise BrokerFailed("a session is left after the kick")

    async def _readmit(self, tx: TenantTx, device: UUID) -> bool:
        """Lift the ban when the device may connect with another certificate, enrolled before or after the cut."""
        if not await session_store.may_connect(tx, device, self._clock()):
            return False
        lifted = await self._broker.unban(device)
        if lifted:
            await audit.record(
                tx,
                Act(
                    actor_kind="service",
                    actor_id="mqtt_authz",
                    action="device.readmit",
                    object_kind="device",
                    object_id=str(device),
                ),
            )
        return lifted


def _left_by(tx: TenantTx, device: UUID) -> tuple[str, ...]:
    return (state_topic(tx.tenant, device),)


async def _tell(
    tx: TenantTx, device: UUID, certificate: UUID | None, *, since: datetime, now: datetime
) -> events.SessionCut:
    """Record the confirmed cut and announce it, in the transaction that marks it."""
    cut = events.SessionCut(
        tenant_id=tx.tenant,
        at=now,
        device_id=device,
        certificate_id=certificate,
        seconds=(now - since).total_seconds(),
    )
    await audit.record(
        tx,
        Act(
            actor_kind="service",
            actor_id="mqtt_authz",
            action="session.cut",
            object_kind="device",
            object_id=str(device),
            details={
                "certificate_id": str(certificate) if certificate else None,
                "seconds": cut.seconds,
            },
        ),
    )
    await outbox.emit(tx, cut)
    return cut


def _back_off(deliveries: int) -> float:
    doublings = min(max(deliveries, 1) - 1, 10)  # bounded before the power is taken
    return min(SHORTEST_RETRY_SECONDS * float(2**doublings), LONGEST_RETRY_SECONDS)
