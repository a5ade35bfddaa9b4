"""Let one issuing CA follow another, step by step, each as an operator asks and only when its conditions hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cert_worker import rollover as rules
from cert_worker import store, store_rollover
from cert_worker.domain import CRL_LIFETIME
from cert_worker.rollover import Rollover, Seen, changed
from pulse_common import audit, outbox
from pulse_common import events_rollover as wire
from pulse_common.errors import Conflict, NotFound
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT, new_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from cert_worker.authority import Authorities
    from cert_worker.domain import Issuer
    from cert_worker.sight import Sight
    from pulse_common.audit_actions import Action
    from pulse_common.clock import Clock
    from pulse_common.events_rollover import RolloverState
    from pulse_common.tenancy import Database, TenantTx, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollovers:
    database: Database
    authorities: Authorities
    sight: Sight
    clock: Clock

    async def plan(self, request: wire.PlanRolloverRequest) -> wire.RolloverSeen:
        """Write down that one issuer is to follow another; nothing changes by it.

        Raises:
            NotFound: there is no such issuing CA.
            Conflict: it does not stand by, nobody issues for its profile, or one is under way.
        """
        await self.authorities.refresh()
        new = self.sight.issuer(request.new_issuer_id)
        now = self.clock()
        async with self._change() as tx:
            await store.lock_authority(tx)
            issuers = await store.list_issuers(tx)
            old = _active(issuers, new.profile)
            if old is None:
                raise Conflict(f"nobody issues for profile {new.profile}: activate it instead")
            if next(one for one in issuers if one.issuer_id == new.issuer_id).status != "standby":
                raise Conflict("that issuer does not stand by")
            if any(one.profile == new.profile for one in await store_rollover.list_open(tx)):
                raise Conflict(f"a roll-over of profile {new.profile} is under way")
            planned = Rollover(
                rollover_id=new_id(),
                profile=str(new.profile),
                old_issuer_id=old.issuer_id,
                new_issuer_id=new.issuer_id,
                state="planned",
                least_share=request.least_share,
                drain_days=request.drain_days,
                draining_at=None,
                created_at=now,
                changed_at=now,
            )
            await store_rollover.insert_rollover(tx, planned)
            await _tell(tx, request, planned, "rollover.plan", None, now)
        return await self.sight.see(planned)

    async def step(self, request: wire.StepRolloverRequest) -> wire.RolloverSeen:
        """Take the next step when all that it waits for holds, or go back one.

        Raises:
            NotFound: there is no such roll-over.
            Conflict: it is in another state, there is no such step, or a condition does not hold: which, is said.
        """
        await self.authorities.refresh()
        async with self.database.service_connection("pulse_ca") as tx:
            before = await store_rollover.lock_rollover(tx, request.rollover_id)
        if before is None:
            raise NotFound("no such roll-over")
        _require_state(before, request)
        # What takes its time is looked at before anything is locked.
        seen = await self.sight.look(before) if request.direction == "forward" else Seen()
        if request.broker_seen_to:
            seen = replace(seen, broker="")
        async with self._change() as tx:
            await store.lock_authority(tx)
            found = await store_rollover.lock_rollover(tx, request.rollover_id)
            assert found is not None, "roll-overs are never deleted"
            target = _require_state(found, request)
            now = self.clock()
            if request.direction == "forward":
                await self._require_conditions(tx, found, seen)
            else:
                _require_way_back(found, await store.list_issuers(tx), now)
            await _apply(tx, found, target, now)
            after = replace(found, state=target, changed_at=now)
            action: Action = (
                "rollover.step" if request.direction == "forward" else "rollover.step_back"
            )
            await _tell(tx, request, after, action, found.state, now)
        await self.authorities.refresh()
        async with self.database.service_connection("pulse_ca") as tx:
            stored = await store_rollover.lock_rollover(tx, request.rollover_id)
        assert stored is not None, "roll-overs are never deleted"
        return await self.sight.see(stored)

    async def _require_conditions(self, tx: Tx, rollover: Rollover, seen: Seen) -> None:
        issuers = await store.list_issuers(tx)
        new = next(one for one in issuers if one.issuer_id == rollover.new_issuer_id)
        _, waits = await self.sight.judge(tx, rollover, new, seen)
        unmet = [f"{one.name}: {one.found}" for one in waits if not one.met]
        if unmet:
            raise Conflict("the next step waits for " + "; ".join(unmet))

    def _change(self) -> AbstractAsyncContextManager[TenantTx]:
        return self.database.service_tenant_connection("pulse_ca", TenantId(PLATFORM_TENANT))


def _active(issuers: Sequence[Issuer], profile: str | None) -> Issuer | None:
    return next(
        (one for one in issuers if (one.status, one.profile) == ("active", profile)),
        None,
    )


def _require_state(rollover: Rollover, request: wire.StepRolloverRequest) -> RolloverState:
    if rollover.state != request.from_state:
        raise Conflict(f"the roll-over is {rollover.state}")
    step = rules.next_state if request.direction == "forward" else rules.previous_state
    target = step(rollover.state)
    if target is None:
        raise Conflict(f"a roll-over that is {rollover.state} is over")
    return target


def _require_way_back(rollover: Rollover, issuers: Sequence[Issuer], now: datetime) -> None:
    old = next(one for one in issuers if one.issuer_id == rollover.old_issuer_id)
    if rollover.state == "issuing_from_new" and old.certificate.not_valid_after_utc <= now:
        raise Conflict("the old issuer has expired: it can't issue again")


async def _apply(tx: Tx, rollover: Rollover, target: RolloverState, now: datetime) -> None:
    old, new = rules.statuses(target)
    given = [(rollover.old_issuer_id, old), (rollover.new_issuer_id, new)]
    # Whoever stops issuing does so first: the database lets no two be active for a profile.
    for issuer_id, status in sorted(given, key=lambda one: one[1] == "active"):
        await store_rollover.set_status(tx, issuer_id, status)
    if target == "retired":
        await store_rollover.keep_lists(tx, rollover.old_issuer_id, at_least=now + CRL_LIFETIME)
    await store_rollover.set_state(tx, rollover.rollover_id, target, now)


async def _tell(
    tx: TenantTx,
    request: wire.PlanRolloverRequest | wire.StepRolloverRequest,
    after: Rollover,
    action: Action,
    before: RolloverState | None,
    now: datetime,
) -> None:
    act = audit.Act(
        actor_kind=request.actor_kind,
        actor_id=request.actor_id,
        action=action,
        object_kind="rollover",
        object_id=str(after.rollover_id),
        reason=request.reason,
        request_id=request.request_id,
        before=None if before is None else {"state": before},
        after={"state": after.state},
        details={
            "profile": after.profile,
            "old_issuer_id": str(after.old_issuer_id),
            "new_issuer_id": str(after.new_issuer_id),
            "broker_seen_to": getattr(request, "broker_seen_to", False),
        },
    )
    await audit.record(tx, act)
    await outbox.emit(tx, changed(after, now))
    if after.state == "retired":
        retired = wire.IssuerRetired(tenant_id=tx.tenant, at=now, issuer_id=after.old_issuer_id)
        await outbox.emit(tx, retired)
