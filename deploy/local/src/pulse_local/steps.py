"""Runs named steps in the order of their needs, side by side where nothing stands between them."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Most of a start is waiting for others; more at once than this only makes each slower.
_AT_ONCE = 6


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do, after the steps that it names."""

    name: str
    after: frozenset[str] = frozenset()
    action: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """What a progress line needs."""

    name: str
    seconds: float


def run_steps(steps: Sequence[Step], done: Callable[[StepDone], None]) -> None:
    """Run every step; the first failure is raised at once, while others may still be under way."""
    _refuse_unknown_needs(steps)
    waiting = {step.name: step for step in steps}
    finished: set[str] = set()
    running: dict[Future[StepDone], str] = {}
    pool = ThreadPoolExecutor(max_workers=_AT_ONCE)
    try:
        while waiting or running:
            for name in [name for name, step in waiting.items() if step.after <= finished]:
                running[pool.submit(_run, waiting.pop(name))] = name
            if not running:
                raise ValueError(f"these steps wait for each other: {sorted(waiting)}")
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                finished.add(running.pop(future))
                done(future.result())
    finally:
        # Not waiting: whoever started the steps ends what they wait for.
        pool.shutdown(wait=False, cancel_futures=True)


def reversed_steps(steps: Sequence[Step]) -> list[Step]:
    """Turn the order round: each step comes after those that needed it."""
    return [
        Step(
            name=step.name,
            after=frozenset(other.name for other in steps if step.name in other.after),
            action=step.action,
        )
        for step in steps
    ]


def _run(step: Step) -> StepDone:
    began = time.monotonic()
    step.action()
    return StepDone(name=step.name, seconds=time.monotonic() - began)


def _refuse_unknown_needs(steps: Sequence[Step]) -> None:
    names = {step.name for step in steps}
    unknown = {need for step in steps for need in step.after} - names
    if unknown:
        raise ValueError(f"these steps are needed but not given: {sorted(unknown)}")
