"""The tree finds exactly the filters that match, and forgets what is left."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pulse_local.broker.session import Session
from pulse_local.broker.subscriptions import Subscriptions
from pulse_local.broker.topics import covers, valid_filter

FILTERS = (
    st.lists(st.sampled_from(["a", "b", "", "$x", "+", "#"]), min_size=1, max_size=4)
    .map("/".join)
    .filter(valid_filter)
)
TOPICS = (
    st.lists(st.sampled_from(["a", "b", "", "$x"]), min_size=1, max_size=4)
    .map("/".join)
    .filter(bool)
)


def make_session(name: str) -> Session:
    return Session(name, persistent=True, created_at=0.0)


@given(filters=st.sets(FILTERS, max_size=6), topic=TOPICS)
def test_exactly_the_filters_that_match_are_found(filters: set[str], topic: str) -> None:
    subscriptions = Subscriptions()
    for wanted in filters:
        subscriptions.add(make_session(wanted), wanted, 1)

    found = [session.client_id for node in subscriptions.match(topic) for session in node.sessions]

    assert sorted(found) == sorted(wanted for wanted in filters if covers(wanted, topic))


@given(filters=st.sets(FILTERS, max_size=6))
def test_nothing_is_left_of_a_session_that_is_gone(filters: set[str]) -> None:
    subscriptions, session = Subscriptions(), make_session("s")
    for wanted in filters:
        subscriptions.add(session, wanted, 1)
        subscriptions.add(session, f"$share/g/{wanted}", 1)

    subscriptions.remove_all(session)

    assert subscriptions.root.empty
    assert session.subscriptions == {}


def test_another_groups_members_stay_when_one_leaves() -> None:
    subscriptions, leaves, stays = Subscriptions(), make_session("a"), make_session("b")
    subscriptions.add(leaves, "$share/one/t", 1)
    subscriptions.add(stays, "$share/two/t", 1)

    subscriptions.remove(leaves, "$share/one/t")

    (node,) = subscriptions.match("t")
    assert list(node.groups) == ["two"]
