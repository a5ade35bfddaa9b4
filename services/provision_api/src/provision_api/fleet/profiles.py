"""Use cases: make, change and delete device profiles, and give a device one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from provision_api import domain, store
from provision_api.enrolment import require_active
from provision_api.fleet import profile_store
from pulse_common import audit, entitlements, events, outbox
from pulse_common import events_profiles as calls
from pulse_common.errors import Conflict, Malformed, NotFound, Stale
from pulse_common.telemetry_schema import compiled
from pulse_common.tenancy import ForeignKeyViolation, UniqueViolation

if TYPE_CHECKING:
    from uuid import UUID

    from provision_api.administrators import Administrators
    from provision_api.enrolment import Caller
    from provision_api.fleet.profile_store import Profile
    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, TenantTx

MOST_PROFILES = 200
_NAME_TAKEN = "a device profile with this name exists"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    db: Database
    bus: Bus
    clock: Clock
    administrators: Administrators

    async def create(self, request: calls.CreateProfileRequest) -> calls.ProfileReply:
        """Make a profile; asked again with its id and the same wishes, it changes nothing.

        Raises:
            Malformed: a wish breaks a rule.
            Conflict: the name or the id is taken, or the tenant has as many as it may have.
            Forbidden, LimitReached: the tenant is suspended, or read-only.
        """
        tenant, caller = await self.administrators.of(request)
        wanted = await self._checked(request.wanted)
        try:
            async with self.db.tenant_connection(tenant) as tx:
                await require_writable(tx)
                there = await profile_store.find(tx, request.profile_id)
                if there is not None and _wishes(there) == wanted:
                    return calls.ProfileReply(profile_id=there.profile_id, version=there.version)
                if there is not None or await profile_store.count(tx) >= MOST_PROFILES:
                    raise Conflict(f"this id is taken, or there are {MOST_PROFILES} profiles")
                made = await profile_store.create(tx, request.profile_id, wanted)
                await audit.record(tx, _act(caller, "device_profile.create", None, made))
                await self._tell(tx, "created", made)
        except UniqueViolation:
            raise Conflict(_NAME_TAKEN) from None
        return calls.ProfileReply(profile_id=made.profile_id, version=made.version)

    async def change(self, request: calls.ChangeProfileRequest) -> calls.ProfileReply:
        """Replace what was decided of a profile.

        Raises:
            Malformed, Conflict, Forbidden, LimitReached: as ``create``.
            NotFound: the tenant has no such profile.
            Stale: it was changed since that version.
        """
        tenant, caller = await self.administrators.of(request)
        wanted = await self._checked(request.wanted)
        try:
            async with self.db.tenant_connection(tenant) as tx:
                await require_writable(tx)
                before = await _find(tx, request.profile_id, request.version)
                made = await profile_store.change(tx, request.profile_id, wanted)
                await audit.record(tx, _act(caller, "device_profile.change", before, made))
                await self._tell(tx, "changed", made)
        except UniqueViolation:
            raise Conflict(_NAME_TAKEN) from None
        return calls.ProfileReply(profile_id=made.profile_id, version=made.version)

    async def delete(self, request: calls.DeleteProfileRequest) -> calls.ProfileReply:
        """Delete a profile that no device and no enrolment profile has.

        Raises:
            Conflict: one has.
            NotFound, Stale, Forbidden: as ``change``.
        """
        tenant, caller = await self.administrators.of(request)
        async with self.db.tenant_connection(tenant) as tx:
            await require_active(tx)
            before = await _find(tx, request.profile_id, request.version)
            if await profile_store.is_used(tx, request.profile_id):
                raise Conflict("devices or enrolment profiles have this profile")
            await profile_store.delete(tx, request.profile_id)
            await audit.record(tx, _act(caller, "device_profile.delete", before, None))
            await self._tell(tx, "deleted", before)
        return calls.ProfileReply(profile_id=before.profile_id, version=before.version)

    async def assign(self, request: calls.AssignProfileRequest) -> calls.AssignProfileReply:
        """Give a device a profile, or take it away.

        Raises:
            NotFound: the tenant has no such device, or no such profile.
            Stale: the device was changed since that version.
            Forbidden, LimitReached: the tenant is suspended, or read-only.
        """
        tenant, caller = await self.administrators.of(request)
        async with self.db.tenant_connection(tenant) as tx:
            await require_writable(tx)
            device = await store.lock_device(tx, request.device_id)
            if device is None:
                raise NotFound("no such device")
            if request.version not in {None, device.version}:
                raise Stale("the device has changed: read it again")
            given = None
            if request.profile_id is not None:
                given = await _find(tx, request.profile_id, None)
            try:
                version = await profile_store.assign(tx, request.device_id, request.profile_id)
            except ForeignKeyViolation:
                raise NotFound("no such device profile") from None
            await audit.record(tx, _assigned(caller, request))
            await self._tell(tx, "assigned", given, request.device_id)
        return calls.AssignProfileReply(
            device_id=request.device_id, profile_id=request.profile_id, version=version
        )

    async def _checked(self, wanted: calls.ProfileWanted) -> calls.ProfileWanted:
        if wanted.telemetry_schema is not None:
            compiled(wanted.telemetry_schema)
        if wanted.certificate_profile != domain.EST_LABEL:
            asked = events.AuthoritiesRequest(profile=wanted.certificate_profile)
            try:
                await self.bus.call(asked, events.AuthoritiesReply)
            except NotFound:
                raise Malformed("certificate_profile names none that issues now") from None
        return wanted.model_copy(update={"name": domain.checked_name(wanted.name)})

    async def _tell(
        self,
        tx: TenantTx,
        what: Literal["created", "changed", "deleted", "assigned"],
        profile: Profile | None,
        device_id: UUID | None = None,
    ) -> None:
        now = None if what == "deleted" else profile
        event = calls.DeviceProfileChanged(
            tenant_id=tx.tenant,
            at=self.clock(),
            what=what,
            profile_id=None if profile is None else profile.profile_id,
            device_id=device_id,
            tokens_allowed=now is not None and now.tokens_allowed,
            has_schema=now is not None and now.telemetry_schema is not None,
        )
        await outbox.emit(tx, event)


async def require_writable(tx: TenantTx) -> None:
    """Raise Forbidden or LimitReached unless the tenant may change things now."""
    await require_active(tx)
    (await entitlements.load(tx)).require_writable()


async def _find(tx: TenantTx, profile_id: UUID, version: int | None) -> Profile:
    found = await profile_store.find(tx, profile_id)
    if found is None:
        raise NotFound("no such device profile")
    if version not in {None, found.version}:
        raise Stale("the device profile has changed: read it again")
    return found


def _wishes(profile: Profile) -> calls.ProfileWanted:
    return calls.ProfileWanted(
        name=profile.name,
        tokens_allowed=profile.tokens_allowed,
        telemetry_schema=profile.telemetry_schema,
        certificate_profile=profile.certificate_profile,
    )


def _act(
    caller: Caller, action: audit.Action, before: Profile | None, after: Profile | None
) -> audit.Act:
    of = before or after
    assert of is not None
    return audit.Act(
        actor_kind=caller.kind,
        actor_id=caller.id,
        action=action,
        object_kind="device_profile",
        object_id=str(of.profile_id),
        address=caller.address,
        request_id=caller.request_id,
        before=None if before is None else _wishes(before).model_dump(),
        after=None if after is None else _wishes(after).model_dump(),
    )


def _assigned(caller: Caller, request: calls.AssignProfileRequest) -> audit.Act:
    return audit.Act(
        actor_kind=caller.kind,
        actor_id=caller.id,
        action="device.profile_assign",
        object_kind="device",
        object_id=str(request.device_id),
        request_id=caller.request_id,
        details={"profile_id": None if request.profile_id is None else str(request.profile_id)},
    )
