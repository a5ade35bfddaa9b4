"""When a rule raises and clears: hysteresis, holding, flapping, and the same values once more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_worker.alerts.rules import COOL_DOWN, Rule, Standing, Value, checked, judge
from pulse_common.errors import Malformed
from pulse_common.events_alerts import RuleWanted

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def rule(**changes: object) -> Rule:
    given: dict[str, object] = {
        "tenant_id": uuid4(),
        "rule_id": uuid4(),
        "version": 1,
        "kind": "threshold",
        "metric": "temp",
        "direction": "above",
        "raise_at": 30.0,
        "clear_at": 25.0,
        "hold": timedelta(),
        "of_all": True,
        "devices": frozenset(),
    }
    return Rule(**{**given, **changes})  # type: ignore[arg-type]  # as the fields are


def at(seconds: float, value: float) -> Value:
    return Value(NOON + timedelta(seconds=seconds), value)


def told(of: Rule, *values: Value) -> list[tuple[bool, float]]:
    """Judge value by value, as if each came in a batch of its own, and return what changed and when."""
    standing, found = Standing(), []
    for value in values:
        standing, changes = judge(of, standing, [value])
        found += [(one.raised, (one.ts - NOON).total_seconds()) for one in changes]
    return found


def test_between_the_two_thresholds_nothing_changes() -> None:
    values = [at(0, 27), at(1, 31), at(2, 27), at(3, 25.1), at(4, 25), at(5, 27)]

    assert told(rule(), *values) == [(True, 1), (False, 4)]


def test_the_threshold_itself_raises_nothing() -> None:
    assert told(rule(), at(0, 30), at(1, 25)) == []


def test_below_is_the_mirror_of_above() -> None:
    of = rule(direction="below", raise_at=5.0, clear_at=8.0)

    assert told(of, at(0, 5), at(1, 4), at(2, 7), at(3, 8)) == [(True, 1), (False, 3)]


def test_only_what_holds_raises_and_clears() -> None:
    of = rule(hold=timedelta(seconds=10))

    spike = [at(0, 31), at(5, 20), at(6, 31), at(15, 31)]
    lasting = [at(16, 31), at(20, 20), at(25, 31), at(40, 20), at(50, 20)]

    assert told(of, *spike, *lasting) == [(True, 16), (False, 50)]


def test_a_flapping_value_raises_at_most_once_a_minute() -> None:
    values = [at(second, 31 if second % 2 else 20) for second in range(300)]

    raised = [when for up, when in told(rule(), *values) if up]

    assert len(raised) == 5
    assert all(b - a >= COOL_DOWN.total_seconds() for a, b in pairwise(raised))


def test_a_rate_is_a_change_a_minute_and_needs_two_readings_within_the_hour() -> None:
    of = rule(kind="rate", raise_at=6.0, clear_at=6.0)

    slow = [at(0, 10), at(60, 15)]
    fast = [at(90, 20)]
    far = [at(90 + 7200, 5000)]

    assert told(of, *slow, *far) == []
    assert told(of, *slow, *fast) == [(True, 90)]


def test_no_rate_is_infinite() -> None:
    of = rule(kind="rate", raise_at=0.0, clear_at=0.0)

    _, [change] = judge(of, Standing(last=at(0, -1e308)), [at(0.001, 1e308)])

    assert change.value == 1e308


@given(
    st.lists(
        st.tuples(st.integers(0, 600), st.floats(-50, 50, allow_nan=False)),
        max_size=40,
        unique_by=lambda one: one[0],
    ),
    st.sampled_from(["threshold", "rate"]),
    st.integers(0, 100),
)
def test_judging_the_same_batch_again_changes_nothing(
    pairs: list[tuple[int, float]], kind: str, hold: int
) -> None:
    of = rule(kind=kind, raise_at=10.0, clear_at=0.0, hold=timedelta(seconds=hold))
    values = [at(seconds, value) for seconds, value in pairs]
    once, changes = judge(of, Standing(), values)

    again, more = judge(of, once, values)

    ups = [one.raised for one in changes]
    assert ups == [index % 2 == 0 for index in range(len(ups))]
    assert (again, more) == (once, [])


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"kind": "absence"}, "silent_seconds"),
        ({"kind": "absence", "silent_seconds": 59}, "60 to"),
        ({"kind": "absence", "silent_seconds": 60, "metric": "temp"}, "nothing of a metric"),
        ({"kind": "threshold", "metric": "temp", "direction": "above"}, "raise_at"),
        ({"kind": "rate", "direction": "above", "raise_at": 1.0}, "metric"),
        (
            {
                "kind": "threshold",
                "metric": "t",
                "direction": "above",
                "raise_at": 1,
                "silent_seconds": 60,
            },
            "silent_seconds",
        ),
        (
            {
                "kind": "threshold",
                "metric": "t",
                "direction": "above",
                "raise_at": 1,
                "clear_at": 2,
            },
            "clear_at",
        ),
        (
            {
                "kind": "threshold",
                "metric": "t",
                "direction": "below",
                "raise_at": 1,
                "clear_at": 0,
            },
            "clear_at",
        ),
        ({"kind": "absence", "silent_seconds": 60, "name": "a\nb"}, "name"),
    ],
)
def test_what_does_not_belong_together_is_refused_and_says_so(
    wanted: dict[str, object], said: str
) -> None:
    with pytest.raises(Malformed, match=said):
        checked(RuleWanted.model_validate({"name": "Hot", **wanted}))
