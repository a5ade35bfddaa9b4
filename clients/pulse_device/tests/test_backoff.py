"""The waiting times stay within their bounds, whatever the history."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pulse_device.backoff import Backoff

fractions = st.floats(min_value=0, max_value=1, exclude_max=True)


@given(st.integers(min_value=1, max_value=10**9), fractions)
def test_delay_never_exceeds_the_top(failures: int, fraction: float) -> None:
    assert 0 <= Backoff().after_failures(failures, fraction) <= 60


def test_ceiling_doubles_from_one_second_to_a_minute() -> None:
    ceilings = [Backoff().after_failures(failures, 1.0) for failures in range(1, 9)]

    assert ceilings == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.integers(min_value=1, max_value=50))
def test_jitter_is_full(failures: int) -> None:
    assert Backoff().after_failures(failures, 0.0) == 0


@given(fractions)
def test_refusal_waits_at_the_top(fraction: float) -> None:
    assert 30 <= Backoff().after_refusal(fraction) <= 60
