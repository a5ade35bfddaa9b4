"""The retry schedule as it is stated, what an endpoint may ask for, and a breaker that asks one call at a time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from delivery_worker.calls import Attempt
from delivery_worker.domain import (
    BREAKER_FAILURES,
    BREAKER_SECONDS,
    JITTER,
    LONGEST_ASKED_SECONDS,
    MOST_ATTEMPTS,
    RETRY_SECONDS,
    Breaker,
    retry_after,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations" / "delivery.md"


def failed(asked: float | None = None) -> Attempt:
    return Attempt(stage="after", latency_ms=1, status=503, error="no", asked_to_wait=asked)


def test_schedule_is_the_one_that_is_documented() -> None:
    stated = "5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h"
    seconds = {"s": 1, "min": 60, "h": 3600}
    words = [part.split() for part in stated.replace(" and", ",").split(", ")]

    assert stated in " ".join(DOCUMENT.read_text().split())
    assert [int(number) * seconds[unit] for number, unit in words] == list(RETRY_SECONDS)
    assert retry_after(MOST_ATTEMPTS, random.uniform) is None


@pytest.mark.parametrize("attempt", range(1, MOST_ATTEMPTS))
def test_each_wait_is_spread_by_a_fifth_either_way(attempt: int) -> None:
    waits = [retry_after(attempt, random.uniform) for _ in range(500)]
    planned = RETRY_SECONDS[attempt - 1]
    known = [wait for wait in waits if wait is not None]

    assert len(known) == 500
    assert planned * (1 - JITTER) <= min(known) < planned * 0.85
    assert planned * 1.15 < max(known) <= planned * (1 + JITTER)


@pytest.mark.parametrize(
    ("asked", "wait"), [(None, 5.0), (0.0, 5.0), (120.0, 120.0), (1e9, LONGEST_ASKED_SECONDS)]
)
def test_endpoint_may_ask_for_longer_within_bounds_and_never_for_less(
    asked: float | None, wait: float
) -> None:
    assert retry_after(1, lambda _, __: 1.0, asked) == wait
    assert retry_after(MOST_ATTEMPTS, lambda _, __: 1.0, asked) is None


def test_breaker_opens_after_failures_in_a_row_and_rests_longer_each_time() -> None:
    breaker, now = Breaker(), 1000.0
    for _ in range(BREAKER_FAILURES - 1):
        breaker.heed(now, failed())
    assert (breaker.is_trying, breaker.wait_seconds(now)) == (False, 0)

    for rest in (*BREAKER_SECONDS, BREAKER_SECONDS[-1]):
        breaker.heed(now, failed())
        assert breaker.is_trying
        assert breaker.wait_seconds(now) == rest
        now += rest
        assert breaker.wait_seconds(now) == 0


def test_breaker_closes_with_the_first_success() -> None:
    breaker = Breaker()
    for _ in range(BREAKER_FAILURES):
        breaker.heed(0.0, failed())

    breaker.heed(1000.0, Attempt(stage="after", latency_ms=1, status=200))

    assert (breaker.is_trying, breaker.wait_seconds(1000.0)) == (False, 0)
    breaker.heed(1000.0, failed())
    assert breaker.wait_seconds(1000.0) == 0


@pytest.mark.parametrize(("asked", "rest"), [(30.0, 30.0), (1e9, BREAKER_SECONDS[-1])])
def test_endpoint_that_asks_for_rest_gets_it_within_bounds(asked: float, rest: float) -> None:
    breaker = Breaker()

    breaker.heed(1000.0, failed(asked))

    assert breaker.wait_seconds(1000.0) == rest
