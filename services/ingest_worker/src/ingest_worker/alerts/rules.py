"""The rules of alerts: when a device's values raise and clear one.  Values in, values out.

Time here is the device's own (``ts``): it makes judging the same batch again come to the same end.  Silence is measured
elsewhere, by arrival.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pulse_common.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.events_alerts import Direction, RuleKind, RuleWanted

FRESH = timedelta(minutes=5)
"""Older readings raise and clear nothing: alerts tell of now, and backfill of the past."""
COOL_DOWN = timedelta(seconds=60)
"""After an alert was cleared, the same rule raises none for the same device: bounds what flapping costs anybody."""
LONGEST_STEP = timedelta(hours=1)
"""Between two readings further apart than this there is no rate."""
LONGEST_HOLD = 86_400
LONGEST_NAME = 100
SHORTEST_SILENCE, LONGEST_SILENCE = 60, 30 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule on a metric, with the members of its groups."""

    tenant_id: UUID
    rule_id: UUID
    version: int
    kind: RuleKind
    metric: str
    direction: Direction
    raise_at: float
    clear_at: float
    hold: timedelta
    of_all: bool
    devices: frozenset[UUID]

    def concerns(self, device: UUID) -> bool:
        return self.of_all or device in self.devices

    def is_met(self, value: float) -> bool:
        return value > self.raise_at if self.direction == "above" else value < self.raise_at

    def is_over(self, value: float) -> bool:
        return value <= self.clear_at if self.direction == "above" else value >= self.clear_at


@dataclass(frozen=True, slots=True)
class Value:
    ts: datetime
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a device stands with a rule; ``last`` is what a rate is measured from."""

    raised: bool = False
    pending_since: datetime | None = None
    changed_ts: datetime | None = None
    last: Value | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """``raised``: or cleared."""

    raised: bool
    ts: datetime
    value: float


def judge(rule: Rule, standing: Standing, values: Sequence[Value]) -> tuple[Standing, list[Change]]:
    """Go through values in the order of their time, and return where that leads and what changed on the way."""
    changes: list[Change] = []
    ordered = sorted(values, key=lambda one: one.ts)
    if rule.kind == "rate":
        ordered, last = _rates(standing.last, ordered)
        standing = replace(standing, last=last)
    for one in ordered:
        if not _is_news(standing, one):
            continue
        standing, change = _step(rule, standing, one)
        if change is not None:
            changes.append(change)
    return standing, changes


def _is_news(standing: Standing, one: Value) -> bool:
    """Tell whether a value is neither judged before nor overtaken by what led to the present state."""
    if standing.changed_ts is not None and one.ts <= standing.changed_ts:
        return False
    return standing.pending_since is None or one.ts >= standing.pending_since


def _step(rule: Rule, standing: Standing, one: Value) -> tuple[Standing, Change | None]:
    due = rule.is_over(one.value) if standing.raised else rule.is_met(one.value)
    if not due:
        return replace(standing, pending_since=None), None
    since = standing.pending_since or one.ts
    cooled = standing.changed_ts is None or one.ts - standing.changed_ts >= COOL_DOWN
    if one.ts - since < rule.hold or not (standing.raised or cooled):
        return replace(standing, pending_since=since), None
    changed = replace(standing, raised=not standing.raised, pending_since=None, changed_ts=one.ts)
    return changed, Change(changed.raised, one.ts, one.value)


def _rates(last: Value | None, values: Sequence[Value]) -> tuple[list[Value], Value | None]:
    """Turn values into changes a minute; what is not newer than the last one was counted before."""
    found: list[Value] = []
    for one in values:
        if last is not None and one.ts <= last.ts:
            continue
        if last is not None and one.ts - last.ts <= LONGEST_STEP:
            minutes = (one.ts - last.ts).total_seconds() / 60
            rate = (one.value - last.value) / minutes
            # 1e308 within a millisecond is more than a float can say; PostgreSQL would keep it, JSON not.
            found.append(Value(one.ts, max(-1e308, min(1e308, rate))))
        last = one
    return found, last


def checked(wanted: RuleWanted) -> RuleWanted:
    """Return the wishes with ``clear_at`` filled in.

    Raises:
        Malformed: saying what is missing or does not belong to this kind of rule.
    """
    if not 1 <= len(wanted.name) <= LONGEST_NAME or not wanted.name.isprintable():
        raise Malformed(f"name must have 1 to {LONGEST_NAME} visible characters")
    return _of_silence(wanted) if wanted.kind == "absence" else _of_metric(wanted)


def _of_silence(wanted: RuleWanted) -> RuleWanted:
    parts = (wanted.metric, wanted.direction, wanted.raise_at, wanted.clear_at)
    if any(part is not None for part in parts) or wanted.hold_seconds:
        raise Malformed("a rule on absence has silent_seconds and nothing of a metric")
    silence = wanted.silent_seconds
    if silence is None or not SHORTEST_SILENCE <= silence <= LONGEST_SILENCE:
        raise Malformed(f"silent_seconds must be {SHORTEST_SILENCE} to {LONGEST_SILENCE}")
    return wanted


def _of_metric(wanted: RuleWanted) -> RuleWanted:
    if wanted.silent_seconds is not None:
        raise Malformed("silent_seconds belongs to rules on absence")
    if wanted.metric is None or wanted.direction is None or wanted.raise_at is None:
        raise Malformed("the rule needs metric, direction and raise_at")
    if not 0 <= wanted.hold_seconds <= LONGEST_HOLD:
        raise Malformed(f"hold_seconds must be 0 to {LONGEST_HOLD}")
    clear_at = wanted.raise_at if wanted.clear_at is None else wanted.clear_at
    is_wrong = (
        clear_at > wanted.raise_at if wanted.direction == "above" else clear_at < wanted.raise_at
    )
    if is_wrong:
        raise Malformed("clear_at must lie on the side of raise_at where all is well")
    return wanted.model_copy(update={"clear_at": clear_at})
