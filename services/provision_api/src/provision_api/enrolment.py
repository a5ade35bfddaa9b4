"""Use cases: make a tenant, a device and its token; turn a token and a CSR into a certificate."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from provision_api import domain, store
from pulse_common import audit, entitlements, events, outbox
from pulse_common.errors import AppError, Conflict, Forbidden, NotFound
from pulse_common.ids import new_id
from pulse_common.tenancy import ForeignKeyViolation, UniqueViolation

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.identity import TenantId
    from pulse_common.tenancy import Database, TenantTx

log = structlog.get_logger(__name__)

SIGN_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is behind a change, for the audit row."""

    kind: audit.ActorKind
    id: str
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Minted:
    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Enrolled:
    tenant: TenantId
    device_id: UUID
    signed: events.SignReply


@dataclass(frozen=True, slots=True)
class Enrolment:
    db: Database
    bus: Bus
    clock: Clock

    async def create_tenant(
        self, tenant: TenantId, name: str, caller: Caller
    ) -> tuple[store.Tenant, bool]:
        """Make a tenant under a given id, and say whether it is new; the same call again changes nothing.

        Raises:
            Conflict: the id exists under another name.
        """
        name = domain.checked_name(name)
        async with self.db.service_tenant_connection("pulse_provision", tenant) as tx:
            is_new = await store.create_tenant(tx, tenant, name)
            found = await store.find_tenant(tx, tenant)
            if found is None or found.name != name:
                raise Conflict("a tenant with this id and another name exists")
            if is_new:
                await audit.record(tx, _act(caller, "tenant.create", "tenant", tenant))
        return found, is_new

    async def create_device(
        self, tenant: TenantId, name: str, caller: Caller, profile_id: UUID | None = None
    ) -> store.Device:
        async with self.db.tenant_connection(tenant) as tx:
            return await self.create_in(tx, new_id(), name, caller, profile_id)

    async def mint_token(
        self, tenant: TenantId, device_id: UUID, seconds: int | None, caller: Caller
    ) -> Minted:
        """Make a one-time token; only its hash is kept.

        Raises:
            NotFound: the tenant has no such device.
            Forbidden, LimitReached: the tenant is suspended, or read-only.
            Conflict: the device is disabled.
        """
        async with self.db.tenant_connection(tenant) as tx:
            device = await store.find_device(tx, device_id)
            if device is None:
                raise NotFound("no such device")
            return await self.mint_in(tx, device, seconds, caller)

    async def create_device_with_token(
        self,
        tenant: TenantId,
        name: str,
        caller: Caller,
        device_id: UUID | None = None,
        profile_id: UUID | None = None,
    ) -> tuple[store.Device, Minted]:
        """Make a device and its first token.  Repeated with a ``device_id``, only the token is new.

        Raises:
            Conflict: the id belongs to something else.
            NotFound: there is no such device profile.
        """
        try:
            async with self.db.tenant_connection(tenant) as tx:
                device = await self._find_made(tx, device_id, name) if device_id else None
                if device is None:
                    made = device_id or new_id()
                    device = await self.create_in(tx, made, name, caller, profile_id)
                return device, await self.mint_in(tx, device, None, caller)
        except UniqueViolation:
            raise Conflict("a device with this id exists") from None

    async def enrol(
        self, token_text: str, csr_pem: str, caller: Caller, *, label: str | None = None
    ) -> Enrolled:
        """Trade a token and a CSR for a certificate, by the rules of the device's profile.

        The token's row stays locked while cert_worker signs, and is marked used in the same transaction: a refusal or
        an absent cert_worker rolls back and leaves the token usable.

        Raises:
            Unauthenticated: the token is unknown, used or expired.
            Forbidden: the tenant is suspended; the token stays usable.
            NotFound: the device's certificates are of another profile than ``label``.
            Malformed, Conflict, Unavailable: what cert_worker said of the CSR, or that it is away.
        """
        token = domain.read_token(token_text)
        async with self.db.tenant_connection(token.tenant) as tx:
            now = self.clock()
            claimed = await store.claim_token(tx, token.digest, now)
            if claimed is None:
                raise domain.not_valid()
            await require_active(tx)  # only whoever holds a good token learns of it
            if label not in {None, claimed.certificate_profile}:
                raise NotFound("the device's certificates are of another profile")
            signed = await self.sign(
                token.tenant, claimed.device_id, csr_pem, caller, claimed.certificate_profile
            )
            await store.use_token(tx, claimed.token_id, now)
            act = _act(caller, "device.enrol", "device", claimed.device_id)
            await audit.record(tx, act)
        log.info("device_enrolled", device_id=str(claimed.device_id), serial=signed.serial_number)
        return Enrolled(token.tenant, claimed.device_id, signed)

    async def sign(
        self,
        tenant: TenantId,
        device_id: UUID,
        csr_pem: str,
        caller: Caller,
        profile: str = domain.EST_LABEL,
    ) -> events.SignReply:
        """Have the CA sign for a device that may have a certificate.

        Raises:
            AppError: what cert_worker said of the CSR, or that it is away.
        """
        request = events.SignRequest(
            tenant_id=tenant,
            device_id=device_id,
            csr_pem=csr_pem,
            actor_id=str(device_id),
            request_id=caller.request_id,
            profile=profile,
        )
        try:
            return await self.bus.call(request, events.SignReply, seconds=SIGN_SECONDS)
        except AppError as error:
            log.info("signature_refused", device_id=str(device_id), code=error.code)
            raise

    async def _find_made(self, tx: TenantTx, device_id: UUID, name: str) -> store.Device | None:
        device = await store.find_device(tx, device_id)
        if device is not None and device.name != domain.checked_name(name):
            raise Conflict("a device with this id and another name exists")
        return device

    async def create_in(
        self,
        tx: TenantTx,
        device_id: UUID,
        name: str,
        caller: Caller,
        profile_id: UUID | None = None,
    ) -> store.Device:
        """Make a device in the caller's transaction, if the plan has room for it."""
        name = domain.checked_name(name)
        await require_active(tx)
        await _require_room(tx)
        try:
            device = await store.create_device(tx, device_id, name, profile_id)
        except ForeignKeyViolation:
            raise NotFound("no such device profile") from None
        await audit.record(tx, _act(caller, "device.create", "device", device.device_id))
        event = events.DeviceCreated(
            tenant_id=tx.tenant, at=self.clock(), device_id=device.device_id, name=name
        )
        await outbox.emit(tx, event)
        return device

    async def mint_in(
        self, tx: TenantTx, device: store.Device, seconds: int | None, caller: Caller
    ) -> Minted:
        await require_active(tx)
        (await entitlements.load(tx)).require_writable()
        if device.status != "active":
            raise Conflict("the device is disabled")
        expires_at = domain.token_expiry(self.clock(), seconds)
        token = domain.make_token(tx.tenant, secrets.token_bytes(domain.SECRET_BYTES))
        token_id = new_id()
        new = store.NewToken(
            token_id=token_id,
            device_id=device.device_id,
            digest=token.digest,
            expires_at=expires_at,
            created_by=caller.id,
        )
        await store.create_token(tx, new)
        act = _act(caller, "enrolment_token.mint", "enrolment_token", token_id)
        await audit.record(tx, act)
        return Minted(token.text, expires_at)


async def require_active(tx: TenantTx) -> None:
    """Refuse for a tenant that is not there or is not served now.

    Raises:
        NotFound, Forbidden: it is unknown, or suspended (or on its way out).
    """
    tenant = await store.find_tenant(tx, tx.tenant)
    if tenant is None:
        raise NotFound("no such tenant")
    if tenant.status != "active":
        raise Forbidden("the tenant is suspended")


async def _require_room(tx: TenantTx) -> None:
    """Raise LimitReached unless the plan has room for one more; racing creations wait for each other."""
    held = await entitlements.load(tx)
    if held.devices is not None:
        await entitlements.lock_devices(tx)
        held = await entitlements.load(tx)  # it may have changed while we waited
    held.require_new_device(await store.count_devices(tx) if held.devices is not None else 0)


def _act(caller: Caller, action: audit.Action, object_kind: str, object_id: UUID) -> audit.Act:
    return audit.Act(
        actor_kind=caller.kind,
        actor_id=caller.id,
        action=action,
        object_kind=object_kind,
        object_id=str(object_id),
        address=caller.address,
        request_id=caller.request_id,
    )
