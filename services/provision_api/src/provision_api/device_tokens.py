"""Use cases of device tokens: allow them for a device, make one, list them, revoke.

A token lets a device that can hold no key connect to the broker; it is shown once.  Two of a device may be good at a
time, so that one replaces the other without a gap.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from provision_api import device_token_store as token_store
from provision_api import store
from provision_api.enrolment import require_active
from pulse_common import audit, entitlements, events, outbox
from pulse_common.errors import Conflict, Forbidden, Malformed, NotFound
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provision_api.device_token_store import DeviceToken
    from provision_api.enrolment import Caller
    from pulse_common.clock import Clock
    from pulse_common.identity import TenantId
    from pulse_common.tenancy import Database, TenantTx

PREFIX = "pdt_"
"""For secret scanners to find: "Pulse device token"."""
SECRET_BYTES = 32
MOST_GOOD = 2
DEFAULT_LIFETIME = timedelta(days=90)
SHORTEST_LIFETIME = timedelta(minutes=5)
LONGEST_LIFETIME = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class MintedToken:
    """The only time that ``text`` is known."""

    token_id: UUID
    text: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTokens:
    db: Database
    clock: Clock

    async def permit(
        self, tenant: TenantId, device_id: UUID, caller: Caller, *, allowed: bool
    ) -> None:
        """Allow tokens for a device, or forbid them, which revokes those that it has.

        Raises:
            NotFound, Forbidden, LimitReached: no such device; suspended; read-only for an unpaid bill.
        """
        async with self.db.tenant_connection(tenant) as tx:
            if allowed:
                await require_active(tx)
                (await entitlements.load(tx)).require_writable()
            await _lock(tx, device_id)
            if not await token_store.set_allowed(tx, device_id, allowed=allowed):
                return  # it is so already
            details = {"allowed": allowed}
            await audit.record(
                tx, _act(caller, "device_token.permit", "device", device_id, details)
            )
            if not allowed:
                now = self.clock()
                for token in await token_store.find_good(tx, device_id, now):
                    await self._revoke(tx, token, now, caller)

    async def mint(
        self,
        tenant: TenantId,
        device_id: UUID,
        seconds: int | None,
        caller: Caller,
        key: str | None = None,
    ) -> MintedToken:
        """Make a token; only its hash is kept.  The same ``key`` again makes no second one.

        Raises:
            NotFound, LimitReached: no such device; read-only for an unpaid bill.
            Forbidden: the tenant is suspended, or tokens are not allowed for the device.
            Conflict: the device is disabled, has two good tokens, or the key has made its token.
        """
        now = self.clock()
        expires_at = now + _lifetime(seconds)
        token_id = new_id() if key is None else uuid5(device_id, key)
        async with self.db.tenant_connection(tenant) as tx:
            await _require_room(tx, device_id, token_id, now)
            text = _text(secrets.token_bytes(SECRET_BYTES))
            new = token_store.NewDeviceToken(
                token_id=token_id,
                device_id=device_id,
                digest=hashlib.sha256(text.encode()).digest(),
                created_at=now,
                created_by=caller.id,
                expires_at=expires_at,
            )
            await token_store.insert(tx, new)
            details = {"device_id": str(device_id), "expires_at": expires_at.isoformat()}
            await audit.record(
                tx, _act(caller, "device_token.mint", "device_token", token_id, details)
            )
            event = events.DeviceTokenMinted(
                tenant_id=tenant, at=now, device_id=device_id, token_id=token_id
            )
            await outbox.emit(tx, event)
        return MintedToken(token_id=token_id, text=text, expires_at=expires_at)

    async def list_all(self, tenant: TenantId, device_id: UUID) -> Sequence[DeviceToken]:
        """List the newest tokens of a device, good or not.

        Raises:
            NotFound: the tenant has no such device.
        """
        async with self.db.tenant_connection(tenant) as tx:
            if await store.find_device(tx, device_id) is None:
                raise NotFound("no such device")
            return await token_store.list_newest(tx, device_id)

    async def revoke(
        self, tenant: TenantId, device_id: UUID, token_id: UUID, caller: Caller
    ) -> None:
        """Revoke a token, and have whoever is connected with it cut off; again changes nothing.

        Raises:
            NotFound: the device has no such token.
        """
        async with self.db.tenant_connection(tenant) as tx:
            await _lock(tx, device_id)
            token = await token_store.find(tx, device_id, token_id)
            if token is None:
                raise NotFound("no such token")
            if token.revoked_at is None:
                await self._revoke(tx, token, self.clock(), caller)

    async def _revoke(
        self, tx: TenantTx, token: DeviceToken, now: datetime, caller: Caller
    ) -> None:
        await token_store.revoke(tx, token.token_id, now)
        details = {"device_id": str(token.device_id)}
        await audit.record(
            tx, _act(caller, "device_token.revoke", "device_token", token.token_id, details)
        )
        event = events.DeviceTokenRevoked(
            tenant_id=tx.tenant, at=now, device_id=token.device_id, token_id=token.token_id
        )
        await outbox.emit(tx, event)


async def _require_room(tx: TenantTx, device_id: UUID, token_id: UUID, now: datetime) -> None:
    """Refuse what ``mint`` says it refuses; whoever mints for the device at the same time waits here."""
    await require_active(tx)
    (await entitlements.load(tx)).require_writable()
    device = await _lock(tx, device_id)
    if not await token_store.is_allowed(tx, device_id):
        raise Forbidden("tokens are not allowed for this device")
    if device.status != "active":
        raise Conflict("the device is disabled")
    if await token_store.find(tx, device_id, token_id) is not None:
        raise Conflict(f"this Idempotency-Key has made token {token_id}, which is not shown again")
    if len(await token_store.find_good(tx, device_id, now)) >= MOST_GOOD:
        raise Conflict(f"the device has {MOST_GOOD} good tokens: revoke one first")


async def _lock(tx: TenantTx, device_id: UUID) -> store.Device:
    device = await store.lock_device(tx, device_id)
    if device is None:
        raise NotFound("no such device")
    return device


def _lifetime(seconds: int | None) -> timedelta:
    if seconds is None:
        return DEFAULT_LIFETIME
    shortest, longest = SHORTEST_LIFETIME.total_seconds(), LONGEST_LIFETIME.total_seconds()
    if not shortest <= seconds <= longest:
        raise Malformed(f"expires_in_seconds must be from {shortest:.0f} to {longest:.0f}")
    return timedelta(seconds=seconds)


def _text(random: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(random).decode().rstrip("=")


def _act(
    caller: Caller, action: audit.Action, kind: str, id_: UUID, details: Mapping[str, object]
) -> audit.Act:
    return audit.Act(
        actor_kind=caller.kind,
        actor_id=caller.id,
        action=action,
        object_kind=kind,
        object_id=str(id_),
        address=caller.address,
        request_id=caller.request_id,
        details=dict(details),
    )
