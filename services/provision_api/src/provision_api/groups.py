"""Use cases: make, rename and delete device groups, and let devices join and leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from provision_api import domain, group_store
from provision_api.enrolment import require_active
from provision_api.fleet.profiles import require_writable
from pulse_common import audit, outbox
from pulse_common import events_groups as calls
from pulse_common.errors import Conflict, NotFound, Stale
from pulse_common.tenancy import ForeignKeyViolation, UniqueViolation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from provision_api.administrators import Administrators
    from provision_api.enrolment import Caller
    from provision_api.group_store import Group
    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, TenantTx

MOST_GROUPS = 500
_NAME_TAKEN = "a device group with this name or id exists"


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    db: Database
    clock: Clock
    administrators: Administrators

    async def listen(self, bus: Bus) -> None:
        await bus.answer(calls.CreateGroupRequest, self.create)
        await bus.answer(calls.RenameGroupRequest, self.rename)
        await bus.answer(calls.DeleteGroupRequest, self.delete)
        await bus.answer(calls.ChangeMembersRequest, self.change_members)

    async def create(self, request: calls.CreateGroupRequest) -> calls.GroupReply:
        """Make a group; asked again with its id and name, it changes nothing.

        Raises:
            Malformed: the name breaks a rule.
            Conflict: the name or the id is taken, or the tenant has as many groups as it may have.
            Forbidden, LimitReached: the tenant is suspended, or read-only.
        """
        tenant, caller = await self.administrators.of(request)
        name = domain.checked_name(request.name)
        try:
            async with self.db.tenant_connection(tenant) as tx:
                await require_writable(tx)
                there = await group_store.lock(tx, request.group_id)
                if there is not None and there.name == name:
                    return _reply(there)
                if there is not None:
                    raise Conflict(_NAME_TAKEN)
                if await group_store.count(tx) >= MOST_GROUPS:
                    raise Conflict(f"there are {MOST_GROUPS} device groups: delete one first")
                made = await group_store.create(tx, request.group_id, name)
                await self._record(tx, caller, "device_group.create", made, {"name": name})
                await self._tell(tx, "created", made)
        except UniqueViolation:
            raise Conflict(_NAME_TAKEN) from None
        return _reply(made)

    async def rename(self, request: calls.RenameGroupRequest) -> calls.GroupReply:
        """Give a group another name.

        Raises:
            NotFound, Stale: the tenant has no such group, or it was changed since that version.
            Malformed, Conflict, Forbidden, LimitReached: as ``create``.
        """
        tenant, caller = await self.administrators.of(request)
        name = domain.checked_name(request.name)
        try:
            async with self.db.tenant_connection(tenant) as tx:
                await require_writable(tx)
                before = await _find(tx, request.group_id)
                if request.version not in {None, before.version}:
                    raise Stale("the device group has changed: read it again")
                made = await group_store.rename(tx, before.group_id, name)
                change = {"from": before.name, "to": name}
                await self._record(tx, caller, "device_group.rename", made, change)
                await self._tell(tx, "renamed", made)
        except UniqueViolation:
            raise Conflict(_NAME_TAKEN) from None
        return _reply(made)

    async def delete(self, request: calls.DeleteGroupRequest) -> calls.GroupReply:
        """Delete a group; its devices stay.

        Raises:
            NotFound, Forbidden: as ``rename``.
        """
        tenant, caller = await self.administrators.of(request)
        async with self.db.tenant_connection(tenant) as tx:
            await require_active(tx)
            gone = await _find(tx, request.group_id)
            await group_store.delete(tx, gone.group_id)
            await self._record(tx, caller, "device_group.delete", gone, {"name": gone.name})
            await self._tell(tx, "deleted", gone)
        return _reply(gone)

    async def change_members(self, request: calls.ChangeMembersRequest) -> calls.GroupReply:
        """Let devices join and leave.

        Raises:
            NotFound: no such group, or a device that is to join is not there.
            Forbidden, LimitReached: as ``rename``.
        """
        tenant, caller = await self.administrators.of(request)
        try:
            async with self.db.tenant_connection(tenant) as tx:
                await require_writable(tx)
                group = await _find(tx, request.group_id)
                left = await group_store.leave(tx, group.group_id, request.leave)
                joined = await group_store.join(tx, group.group_id, request.join)
                if joined or left:
                    change = {"joined": [*map(str, joined)], "left": [*map(str, left)]}
                    await self._record(tx, caller, "device_group.change", group, change)
                if joined:
                    await self._tell(tx, "joined", group, joined)
                if left:
                    await self._tell(tx, "left", group, left)
        except ForeignKeyViolation:
            raise NotFound("no such device") from None
        return _reply(group, joined=len(joined), left=len(left))

    async def _record(
        self,
        tx: TenantTx,
        caller: Caller,
        action: audit.Action,
        group: Group,
        details: Mapping[str, object],
    ) -> None:
        act = audit.Act(
            actor_kind=caller.kind,
            actor_id=caller.id,
            action=action,
            object_kind="device_group",
            object_id=str(group.group_id),
            request_id=caller.request_id,
            details=details,
        )
        await audit.record(tx, act)

    async def _tell(
        self,
        tx: TenantTx,
        what: Literal["created", "renamed", "deleted", "joined", "left"],
        group: Group,
        devices: Sequence[UUID] = (),
    ) -> None:
        event = calls.DeviceGroupsChanged(
            tenant_id=tx.tenant,
            at=self.clock(),
            what=what,
            group_id=group.group_id,
            device_ids=list(devices),
        )
        await outbox.emit(tx, event)


async def _find(tx: TenantTx, group_id: UUID) -> Group:
    found = await group_store.lock(tx, group_id)
    if found is None:
        raise NotFound("no such device group")
    return found


def _reply(group: Group, *, joined: int = 0, left: int = 0) -> calls.GroupReply:
    return calls.GroupReply(
        group_id=group.group_id, version=group.version, joined=joined, left=left
    )
