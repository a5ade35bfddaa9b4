"""Which topics are well formed, and which filter contains which."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.mqtt_authz.tests.conftest import SHARED

from mqtt_authz.topics import contains, valid_filter, valid_name, without_prefix

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = SHARED / "corpora" / "mqtt" / "mosquitto_topic_vectors.jsonl"

JUDGES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "valid_publish_topic": lambda row: valid_name(row["topic"]),
    "valid_subscribe_filter": lambda row: valid_filter(row["topic"]),
    "filter_matches_topic": lambda row: (
        valid_name(row["topic"]) and contains(row["filter"], row["topic"])
    ),
    "acl_filter_covers_subscription": lambda row: contains(row["acl"], row["subscription"]),
}


def test_mosquitto_agrees_on_every_vector() -> None:
    if not VECTORS.exists():
        pytest.skip(f"no vectors of mosquitto at {VECTORS}")
    rows = [json.loads(line) for line in VECTORS.read_text().splitlines()]
    judged = [row for row in rows if row["kind"] in JUDGES]

    wrong = [row for row in judged if JUDGES[row["kind"]](row) != row["expect"]]

    assert wrong == []
    assert len(judged) > 100


@pytest.mark.parametrize(
    "text",
    [
        *("", "a\x00b", "a\nb", "a\x7fb", "a\x85b", "\ud800", "\ufffe"),
        *("a" * 65_536, "é" * 32_768, "/".join("a" * 129)),
    ],
)
def test_control_characters_and_excess_are_never_valid(text: str) -> None:
    assert not valid_name(text)
    assert not valid_filter(text)


@pytest.mark.parametrize("text", ["a+", "+a", "a/#/b", "##", "a#", "#/a", "a/++"])
def test_wildcard_must_stand_alone_and_hash_last(text: str) -> None:
    assert not valid_filter(text)


@pytest.mark.parametrize(
    ("wanted", "judged"),
    [
        ("$share/g/a/b", "a/b"),
        ("$share/g/#", "#"),
        ("$share/g/$share/h/a", "$share/h/a"),
        ("$share/g//a", "/a"),
        ("$queue/a/b", "a/b"),
        ("$exclusive/a", "a"),
        ("$queue/", ""),
        ("$share/g", "$share/g"),
        ("$share//a", "$share//a"),
        ("$share/+/a", "$share/+/a"),
        ("$SYS/brokers", "$SYS/brokers"),
        ("$Share/g/a", "$Share/g/a"),
        ("a/$share/g/b", "a/$share/g/b"),
    ],
)
def test_prefix_is_taken_off_once(wanted: str, judged: str) -> None:
    assert without_prefix(wanted) == judged


levels = st.lists(st.sampled_from(["a", "b", "", "+", "$s"]), min_size=1, max_size=4)
filters = st.tuples(levels, st.booleans()).map(
    lambda made: "/".join([*made[0], "#"] if made[1] else made[0])
)
names = st.lists(st.sampled_from(["a", "b", "", "c", "$s"]), min_size=1, max_size=5).map("/".join)


@given(rule=filters, wanted=filters, name=names)
def test_what_a_contained_filter_matches_the_rule_matches_too(
    rule: str, wanted: str, name: str
) -> None:
    if contains(rule, wanted) and name and contains(wanted, name):
        assert contains(rule, name)


@given(wanted=filters)
def test_filter_contains_itself(wanted: str) -> None:
    assert contains(wanted, wanted) == valid_filter(wanted)
