from __future__ import annotations

from ingest_worker.backoff import LONGEST_SECONDS, delay_seconds
from ingest_worker.throttle import Throttle


def test_delays_grow_to_a_bound_and_are_never_zero() -> None:
    delays = [delay_seconds(attempt) for attempt in (0, 1, 2, 5, 100, 10_000)]

    assert all(0.1 <= delay <= LONGEST_SECONDS for delay in delays)
    assert delays[0] <= 0.2
    assert delays[-1] >= LONGEST_SECONDS / 2


def test_throttle_lets_one_pass_and_counts_the_rest() -> None:
    now = 0.0
    throttle = Throttle(1.0, lambda: now)

    first, second, third = throttle.passes(), throttle.passes(), throttle.passes()
    now = 1.0
    later = throttle.passes()

    assert (first, second, third, later) == (0, None, None, 2)
