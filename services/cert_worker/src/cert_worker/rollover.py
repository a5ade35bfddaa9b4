"""How one issuing CA follows another: states, what each step waits for, what each state means for the two.  Rules only.

planned -> distributing -> dual_trust -> issuing_from_new -> draining -> retired.  Every step but the last can be taken
back, and none takes trust from a certificate that is in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from pulse_common.events_rollover import Condition, RolloverChanged
from pulse_common.ids import PLATFORM_TENANT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from cert_worker.domain import Issuer, IssuerStatus
    from pulse_common.events_rollover import RolloverState

ORDER: tuple[RolloverState, ...] = (
    "planned",
    "distributing",
    "dual_trust",
    "issuing_from_new",
    "draining",
    "retired",
)
OVER: frozenset[RolloverState] = frozenset({"retired", "cancelled"})
FROM_NEW: frozenset[RolloverState] = frozenset({"issuing_from_new", "draining", "retired"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollover:
    rollover_id: UUID
    profile: str
    old_issuer_id: UUID
    new_issuer_id: UUID
    state: RolloverState
    least_share: float
    drain_days: int
    draining_at: datetime | None
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Active devices with a certificate that counts; ``left``: certificates of the old issuer that do."""

    devices: int
    trusting: int
    holding: int
    left: int
    used: bool
    """Whether the broker has let somebody in with a certificate that the new issuer renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was found in the world: an empty reason is a good one."""

    bundle: str = ""
    lists: str = ""
    broker: str = ""


def next_state(state: RolloverState) -> RolloverState | None:
    if state in OVER:
        return None
    return ORDER[ORDER.index(state) + 1]


def previous_state(state: RolloverState) -> RolloverState | None:
    """Say where a step back leads; a plan that is taken back is cancelled, and what is over stays so."""
    if state in OVER:
        return None
    return "cancelled" if state == "planned" else ORDER[ORDER.index(state) - 1]


def statuses(state: RolloverState) -> tuple[IssuerStatus, IssuerStatus]:
    """Say what the old issuer and the new one may do in a state."""
    if state == "retired":
        return "retired", "active"
    return ("draining", "active") if state in FROM_NEW else ("active", "standby")


def conditions(
    rollover: Rollover,
    *,
    new: Issuer,
    lifetime: timedelta,
    fleet: Fleet,
    seen: Seen,
    now: datetime,
) -> Sequence[Condition]:
    """List what the next step waits for."""
    match rollover.state:
        case "planned":
            return (_stands_by(new), _lives_on(new, lifetime, now))
        case "distributing":
            return (*_platform(seen), _trusted(rollover, fleet))
        case "dual_trust":
            return (
                _stands_by(new),
                _lives_on(new, lifetime, now),
                *_platform(seen),
                _trusted(rollover, fleet),
            )
        case "issuing_from_new":
            return (_lists(seen), _proven(fleet))
        case "draining":
            return (_empty(fleet),)
        case _:
            return ()


def needs_a_look(state: RolloverState) -> bool:
    """Whether the next step waits for something outside the database."""
    return state in {"distributing", "dual_trust", "issuing_from_new"}


def renew_in(rollover: Rollover, device_id: UUID, now: datetime) -> timedelta:
    """Say when a device of the old issuer is to renew: at a moment of its own, spread evenly over the draining."""
    assert rollover.draining_at is not None, "the table's own constraint"
    drawn = sha256(rollover.rollover_id.bytes + device_id.bytes).digest()[:8]
    share = int.from_bytes(drawn) / 2**64
    at = rollover.draining_at + share * timedelta(days=rollover.drain_days)
    return max(at - now, timedelta())


def changed(rollover: Rollover, now: datetime) -> RolloverChanged:
    return RolloverChanged(
        tenant_id=PLATFORM_TENANT,
        at=now,
        rollover_id=rollover.rollover_id,
        profile=rollover.profile,
        old_issuer_id=rollover.old_issuer_id,
        new_issuer_id=rollover.new_issuer_id,
        state=rollover.state,
    )


def _stands_by(new: Issuer) -> Condition:
    found = f"the new issuer is {new.status}"
    return Condition(name="stands by", met=new.status == "standby", found=found)


def _lives_on(new: Issuer, lifetime: timedelta, now: datetime) -> Condition:
    # Else the first certificates would already be cut short.
    certificate = new.certificate
    met = (
        certificate.not_valid_before_utc <= now and certificate.not_valid_after_utc > now + lifetime
    )
    found = (
        f"valid until {certificate.not_valid_after_utc:%Y-%m-%d}, certificates {lifetime.days} days"
    )
    return Condition(name="outlives what it issues", met=met, found=found)


def _platform(seen: Seen) -> Sequence[Condition]:
    return (
        Condition(
            name="bundle is served", met=not seen.bundle, found=seen.bundle or "holds the new one"
        ),
        _lists(seen),
        Condition(
            name="broker trusts it", met=not seen.broker, found=seen.broker or "lets it through"
        ),
    )


def _lists(seen: Seen) -> Condition:
    return Condition(
        name="lists are served", met=not seen.lists, found=seen.lists or "all of them fresh"
    )


def _trusted(rollover: Rollover, fleet: Fleet) -> Condition:
    # Compared as counts: 0.95 as the database keeps it is not quite 0.95.
    needed = round(rollover.least_share, 4) * fleet.devices
    return Condition(
        name="fleet trusts it",
        met=fleet.trusting >= needed,
        found=f"{fleet.trusting} of {fleet.devices} devices, {rollover.least_share:.1%} needed",
    )


def _proven(fleet: Fleet) -> Condition:
    return Condition(
        name="a device has come in with it",
        met=fleet.used or fleet.devices == 0,
        found="yes" if fleet.used else "none yet",
    )


def _empty(fleet: Fleet) -> Condition:
    return Condition(
        name="nothing is left of the old one",
        met=fleet.left == 0,
        found=f"{fleet.left} certificates count still",
    )
