"""Steps: in the order of their needs, side by side otherwise, stopped by the first failure."""

from __future__ import annotations

import threading

import pytest

from pulse_local.steps import Step, StepDone, reversed_steps, run_steps


def _ignore(_: StepDone) -> None:
    pass


def test_step_comes_after_what_it_needs() -> None:
    order: list[str] = []
    steps = [
        Step(name="c", after=frozenset({"a", "b"}), action=lambda: order.append("c")),
        Step(name="b", after=frozenset({"a"}), action=lambda: order.append("b")),
        Step(name="a", action=lambda: order.append("a")),
    ]

    run_steps(steps, _ignore)

    assert order == ["a", "b", "c"]


def test_independent_steps_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=5)

    def meet() -> None:
        meeting.wait()

    steps = [Step(name=name, action=meet) for name in ("a", "b")]

    run_steps(steps, _ignore)

    assert not meeting.broken


def test_failure_is_raised_and_later_steps_do_not_run() -> None:
    ran: list[str] = []

    def fail() -> None:
        raise RuntimeError("no disk")

    steps = [
        Step(name="a", action=fail),
        Step(name="b", after=frozenset({"a"}), action=lambda: ran.append("b")),
    ]

    with pytest.raises(RuntimeError, match="no disk"):
        run_steps(steps, _ignore)

    assert ran == []


def test_steps_that_wait_for_each_other_are_refused() -> None:
    steps = [
        Step(name="a", after=frozenset({"b"}), action=lambda: None),
        Step(name="b", after=frozenset({"a"}), action=lambda: None),
    ]

    with pytest.raises(ValueError, match="wait for each other"):
        run_steps(steps, _ignore)


def test_need_that_nobody_meets_is_refused() -> None:
    steps = [Step(name="a", after=frozenset({"x"}), action=lambda: None)]

    with pytest.raises(ValueError, match="x"):
        run_steps(steps, _ignore)


def test_reversed_order_stops_what_needs_before_what_is_needed() -> None:
    order: list[str] = []
    steps = [
        Step(name="postgres", action=lambda: order.append("postgres")),
        Step(name="ui", after=frozenset({"postgres"}), action=lambda: order.append("ui")),
        Step(name="caddy", after=frozenset({"ui"}), action=lambda: order.append("caddy")),
    ]

    run_steps(reversed_steps(steps), _ignore)

    assert order == ["caddy", "ui", "postgres"]


def test_every_step_is_reported_with_its_time() -> None:
    done: list[StepDone] = []

    run_steps([Step(name="a", action=lambda: None)], done.append)

    assert [step.name for step in done] == ["a"]
    assert done[0].seconds >= 0
