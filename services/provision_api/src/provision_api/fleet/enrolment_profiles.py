"""Use cases: make, change and delete enrolment profiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision_api import domain
from provision_api.enrolment import require_active
from provision_api.fleet import enrolment_store, rules
from provision_api.fleet.profiles import require_writable
from pulse_common import audit
from pulse_common import events_fleet as calls
from pulse_common.errors import Conflict, Malformed, NotFound, Stale
from pulse_common.tenancy import ForeignKeyViolation, UniqueViolation

if TYPE_CHECKING:
    from uuid import UUID

    from provision_api.administrators import Administrators
    from provision_api.enrolment import Caller
    from pulse_common.tenancy import Database, Row, TenantTx

MOST_PROFILES = 200
LARGEST_QUOTA = 10_000_000
_NAME_TAKEN = "an enrolment profile with this name or label exists"
_NO_DEVICE_PROFILE = "no such device profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentProfiles:
    db: Database
    administrators: Administrators

    async def create(
        self, request: calls.CreateEnrolmentProfileRequest
    ) -> calls.EnrolmentProfileReply:
        """Make an enrolment profile; asked again with its id and the same wishes, it changes nothing.

        Raises:
            Malformed: a wish breaks a rule.
            NotFound: there is no such device profile.
            Conflict: the name, the label or the id is taken, or the tenant has as many as it may have.
            Forbidden, LimitReached: the tenant is suspended, or read-only.
        """
        tenant, caller = await self.administrators.of(request)
        wanted, label = _checked(request.wanted), rules.checked_label(request.label)
        made = request.enrolment_profile_id
        try:
            async with self.db.tenant_connection(tenant) as tx:
                await require_writable(tx)
                there = await enrolment_store.lock_wishes(tx, made)
                if there is not None and _is(there, wanted) and there["label"] == label:
                    return calls.EnrolmentProfileReply(
                        enrolment_profile_id=made, version=there["version"]
                    )
                if there is not None or await enrolment_store.count(tx) >= MOST_PROFILES:
                    raise Conflict(f"this id is taken, or there are {MOST_PROFILES} profiles")
                await enrolment_store.create(tx, made, label, request.method, wanted)
                after = {**wanted.model_dump(), "label": label, "method": request.method}
                await audit.record(tx, _act(caller, "enrolment_profile.create", made, None, after))
        except UniqueViolation:
            raise Conflict(_NAME_TAKEN) from None
        except ForeignKeyViolation:
            raise NotFound(_NO_DEVICE_PROFILE) from None
        return calls.EnrolmentProfileReply(enrolment_profile_id=made, version=1)

    async def change(
        self, request: calls.ChangeEnrolmentProfileRequest
    ) -> calls.EnrolmentProfileReply:
        """Replace what was decided.

        Raises:
            Malformed, NotFound, Conflict, Forbidden, LimitReached: as ``create``.
            Stale: it was changed since that version.
        """
        tenant, caller = await self.administrators.of(request)
        wanted, which = _checked(request.wanted), request.enrolment_profile_id
        try:
            async with self.db.tenant_connection(tenant) as tx:
                await require_writable(tx)
                before = await _find(tx, which)
                if request.version not in {None, before["version"]}:
                    raise Stale("the enrolment profile has changed: read it again")
                version = await enrolment_store.change(tx, which, wanted)
                act = _act(
                    caller, "enrolment_profile.change", which, _wishes(before), wanted.model_dump()
                )
                await audit.record(tx, act)
        except UniqueViolation:
            raise Conflict(_NAME_TAKEN) from None
        except ForeignKeyViolation:
            raise NotFound(_NO_DEVICE_PROFILE) from None
        return calls.EnrolmentProfileReply(enrolment_profile_id=which, version=version)

    async def delete(
        self, request: calls.DeleteEnrolmentProfileRequest
    ) -> calls.EnrolmentProfileReply:
        """Delete an enrolment profile that knows no hardware; its claim certificates go with it.

        Raises:
            NotFound: the tenant has no such profile.
            Conflict: it knows hardware, or an import names it.
            Forbidden: the tenant is suspended.
        """
        tenant, caller = await self.administrators.of(request)
        which = request.enrolment_profile_id
        try:
            async with self.db.tenant_connection(tenant) as tx:
                await require_active(tx)
                before = await _find(tx, which)
                await enrolment_store.delete(tx, which)
                act = _act(caller, "enrolment_profile.delete", which, _wishes(before), None)
                await audit.record(tx, act)
        except ForeignKeyViolation:
            raise Conflict("the profile knows hardware: close it instead") from None
        return calls.EnrolmentProfileReply(enrolment_profile_id=which, version=before["version"])


def _checked(wanted: calls.EnrolmentWanted) -> calls.EnrolmentWanted:
    for quota in (wanted.most_devices, wanted.most_per_hour):
        if quota is not None and not 1 <= quota <= LARGEST_QUOTA:
            raise Malformed(f"a quota must be from 1 to {LARGEST_QUOTA}")
    return wanted.model_copy(update={"name": domain.checked_name(wanted.name)})


async def _find(tx: TenantTx, enrolment_profile_id: UUID) -> Row:
    found = await enrolment_store.lock_wishes(tx, enrolment_profile_id)
    if found is None:
        raise NotFound("no such enrolment profile")
    return found


def _wishes(row: Row) -> dict[str, object]:
    return {name: row[name] for name in calls.EnrolmentWanted.model_fields}


def _is(row: Row, wanted: calls.EnrolmentWanted) -> bool:
    return _wishes(row) == wanted.model_dump()


def _act(
    caller: Caller,
    action: audit.Action,
    which: UUID,
    before: dict[str, object] | None,
    after: dict[str, object] | None,
) -> audit.Act:
    return audit.Act(
        actor_kind=caller.kind,
        actor_id=caller.id,
        action=action,
        object_kind="enrolment_profile",
        object_id=str(which),
        request_id=caller.request_id,
        before=before,
        after=after,
    )
