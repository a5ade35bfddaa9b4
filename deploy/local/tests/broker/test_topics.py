"""Filters contain what they match, and nothing that is wider."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_local.broker.topics import (
    covers,
    split_delayed,
    split_shared,
    valid_filter,
    valid_topic,
)

LEVELS = st.sampled_from(["a", "b", "", "$x"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)
FILTERS = st.lists(st.sampled_from(["a", "b", "", "$x", "+", "#"]), min_size=1, max_size=4).map(
    "/".join
)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("t/1/#", "t/1"), ("t/1/#", "t/1/a/b"), ("t/1/#", "t/1/+/x"), ("t/1/#", "t/1/#"),
        ("t/+/x", "t/1/x"), ("t/+/x", "t/+/x"), ("#", "a/b"), ("#", "#"), ("+/+", "/"),
    ],
)  # fmt: skip
def test_a_rule_covers_what_it_contains(rule: str, wanted: str) -> None:
    assert covers(rule, wanted)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("t/1/#", "t/#"), ("t/1/#", "t/+/x"), ("t/1/#", "#"), ("t/+", "t/#"), ("t/+", "t"),
        ("t/1", "t/+"), ("t/1", "t/1/a"), ("#", "$SYS/x"), ("+/x", "$SYS/x"), ("#", "$SYS/#"),
        ("a/#/b", "a/x/b"),
    ],
)  # fmt: skip
def test_a_rule_does_not_cover_what_is_wider_or_elsewhere(rule: str, wanted: str) -> None:
    assert not covers(rule, wanted)


@given(rule=FILTERS.filter(valid_filter), wanted=FILTERS.filter(valid_filter), topic=TOPICS)
def test_containment_never_admits_a_topic_that_the_rule_does_not_match(
    rule: str, wanted: str, topic: str
) -> None:
    if covers(rule, wanted) and covers(wanted, topic):
        assert covers(rule, topic)


@pytest.mark.parametrize("wanted", ["", "a/#/b", "a#", "a/b+", "\0", "+a/b"])
def test_malformed_filters_are_refused(wanted: str) -> None:
    assert not valid_filter(wanted)


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0b", "$share/g/a", "$queue/a", "x" * 5000])
def test_malformed_topics_are_refused(topic: str) -> None:
    assert not valid_topic(topic)


def test_a_shared_filter_is_judged_by_what_is_inside() -> None:
    assert split_shared("$share/g/a/+") == ("g", "a/+")
    assert split_shared("$queue/a") == ("$queue", "a")
    assert split_shared("a/#") == (None, "a/#")


@pytest.mark.parametrize(
    "wanted", ["$share/g", "$share//a", "$share/+/a", "$share/g/", "$queue/", "$share/g/$queue/a"]
)
def test_malformed_shared_filters_are_refused(wanted: str) -> None:
    assert split_shared(wanted) is None


def test_a_delayed_topic_is_judged_by_what_is_inside() -> None:
    assert split_delayed("$delayed/5/t/up") == (5, "t/up")
    assert split_delayed("t/up") == (0, "t/up")


@pytest.mark.parametrize(
    "topic", ["$delayed/x/t", "$delayed/5/", "$delayed/5/a/#", "$delayed/99999999/t", "$delayed/5"]
)
def test_malformed_delayed_topics_are_refused(topic: str) -> None:
    assert split_delayed(topic) is None
