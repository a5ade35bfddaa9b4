"""Use case: give a device another name, unless somebody else was faster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision_api import domain, store
from pulse_common import audit, entitlements, events, outbox
from pulse_common.errors import Forbidden, NotFound, Stale

if TYPE_CHECKING:
    from uuid import UUID

    from provision_api.enrolment import Caller
    from pulse_common.clock import Clock
    from pulse_common.identity import TenantId
    from pulse_common.tenancy import Database, TenantTx


@dataclass(frozen=True, slots=True, kw_only=True)
class Renaming:
    db: Database
    clock: Clock

    async def rename(
        self, tenant: TenantId, device_id: UUID, name: str, version: int | None, caller: Caller
    ) -> store.Device:
        """Rename a device whose version the caller has seen (None: whichever it is).

        Raises:
            Malformed: the name breaks a rule.
            Forbidden: the tenant is suspended.
            LimitReached: an unpaid bill leaves the tenant read-only.
            NotFound: the tenant has no such device.
            Stale: the device was changed since that version.
        """
        name = domain.checked_name(name)
        async with self.db.tenant_connection(tenant) as tx:
            await _require_active(tx)
            (await entitlements.load(tx)).require_writable()
            before = await store.lock_device(tx, device_id)
            if before is None:
                raise NotFound("no such device")
            if version not in {None, before.version}:
                raise Stale("the device has changed: read it again")
            device = await store.rename_device(tx, device_id, name)
            await audit.record(tx, _act(caller, before, device))
            event = events.DeviceRenamed(
                tenant_id=tenant, at=self.clock(), device_id=device_id, name=name
            )
            await outbox.emit(tx, event)
        return device


async def _require_active(tx: TenantTx) -> None:
    tenant = await store.find_tenant(tx, tx.tenant)
    if tenant is None or tenant.status != "active":
        raise Forbidden("your tenant is not active")


def _act(caller: Caller, before: store.Device, device: store.Device) -> audit.Act:
    return audit.Act(
        actor_kind=caller.kind,
        actor_id=caller.id,
        action="device.rename",
        object_kind="device",
        object_id=str(device.device_id),
        address=caller.address,
        request_id=caller.request_id,
        details={"from": before.name, "to": device.name},
    )
