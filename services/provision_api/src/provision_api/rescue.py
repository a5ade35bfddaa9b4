"""Use cases: an administrator opens a rescue for one device; the device trades its expired certificate for the next.

The device shows the certificate and a request for the same key, signed by it.  It must be the certificate that the
administrator approved, which never was revoked or held, and nothing that the device had later was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from provision_api import rescue_store, store
from provision_api.enrolment import SIGN_SECONDS, Enrolled, require_active
from pulse_common import audit, entitlements, events
from pulse_common.errors import Conflict, NotFound, Unauthenticated
from pulse_common.events_rescue import RescueReply
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from provision_api.enrolment import Caller
    from provision_api.presented import Presented
    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.identity import TenantId
    from pulse_common.tenancy import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescue:
    db: Database
    bus: Bus
    clock: Clock

    async def open(
        self, tenant: TenantId, device_id: UUID, seconds: int, caller: Caller
    ) -> RescueReply:
        """Approve one rescue, from now on; one that was open before ends.

        Raises:
            NotFound: the tenant has no such device.
            Forbidden: the tenant is suspended.
            LimitReached: an unpaid bill leaves the tenant read-only.
            Conflict: the device is disabled, its certificate still counts, or it was cut off.
        """
        async with self.db.tenant_connection(tenant) as tx:
            await require_active(tx)
            (await entitlements.load(tx)).require_writable()
            device = await store.lock_device(tx, device_id)
            if device is None:
                raise NotFound("no such device")
            if device.status != "active":
                raise Conflict("the device is disabled")
            now = self.clock()
            found = await rescue_store.find_rescuable(tx, device_id, now)
            if found is None:
                raise Conflict(
                    "only a device whose newest certificate has expired, and was never revoked, can be rescued"
                )
            await rescue_store.close(tx, device_id)
            new = rescue_store.NewRescue(
                rescue_id=new_id(),
                device_id=device_id,
                certificate_id=found.certificate_id,
                opened_at=now,
                opened_by=caller.id,
                ends_at=now + timedelta(seconds=seconds),
            )
            await rescue_store.insert(tx, new)
            details = {
                "rescue_id": str(new.rescue_id),
                "serial_number": found.serial_number,
                "ends_at": new.ends_at.isoformat(),
            }
            await audit.record(tx, _act(caller, "device.rescue_open", device_id, details))
        return RescueReply(
            rescue_id=new.rescue_id, serial_number=found.serial_number, ends_at=new.ends_at
        )

    async def close(self, tenant: TenantId, device_id: UUID, caller: Caller) -> bool:
        """Take an approval back; False when none is open.

        Raises:
            NotFound: the tenant has no such device.
        """
        async with self.db.tenant_connection(tenant) as tx:
            if await store.lock_device(tx, device_id) is None:
                raise NotFound("no such device")
            closed = await rescue_store.close(tx, device_id)
            if closed:
                await audit.record(tx, _act(caller, "device.rescue_close", device_id, {}))
        return closed

    async def rescue(self, shown: Presented, csr_pem: str, caller: Caller) -> Enrolled:
        """Trade an expired certificate, and a request for its key, for the next one.

        The rescue's row stays locked while the CA signs, and is marked used in the same transaction.

        Raises:
            Unauthenticated: no rescue is open for this certificate.
            Forbidden: the tenant is suspended; the rescue stays open.
            Malformed, Conflict, TooMany, Unavailable: what cert_worker said, or that it is away.
        """
        async with self.db.tenant_connection(shown.tenant) as tx:
            now = self.clock()
            fingerprint = bytes.fromhex(shown.fingerprint)
            claimed = await rescue_store.claim(tx, shown.device_id, fingerprint, now)
            if claimed is None:
                raise not_open()
            await require_active(tx)
            request = events.RenewRequest(
                tenant_id=shown.tenant,
                device_id=shown.device_id,
                csr_pem=csr_pem,
                fingerprint=shown.fingerprint,
                request_id=caller.request_id,
                rescue=True,
            )
            signed = await self.bus.call(request, events.SignReply, seconds=SIGN_SECONDS)
            await rescue_store.use(tx, claimed.rescue_id, now)
            details = {
                "rescue_id": str(claimed.rescue_id),
                "serial_number": signed.serial_number,
                "again": claimed.status == "used",
            }
            await audit.record(tx, _act(caller, "device.rescue", shown.device_id, details))
        return Enrolled(shown.tenant, shown.device_id, signed)


def not_open() -> Unauthenticated:
    """One answer for every reason: whoever found an old certificate learns nothing from it."""
    return Unauthenticated("no rescue is open for this certificate")


def _act(
    caller: Caller, action: audit.Action, device_id: UUID, details: Mapping[str, object]
) -> audit.Act:
    return audit.Act(
        actor_kind=caller.kind,
        actor_id=caller.id,
        action=action,
        object_kind="device",
        object_id=str(device_id),
        address=caller.address,
        request_id=caller.request_id,
        details=dict(details),
    )
