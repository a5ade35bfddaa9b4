"""The list that the gate gives a session, judged as the broker does, lets a device nowhere but into its own tree."""

from __future__ import annotations

import json
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from mqtt_authz import acl as gate
from mqtt_authz import emqx
from mqtt_authz.domain import admitted_device
from pulse_common.identity import TenantId
from pulse_local.broker.acl import Act, Verdict, judge, parse_rules

TENANT = TenantId(UUID("11111111-1111-4111-8111-1111111111ab"))
DEVICE = UUID("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
OTHER = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
TREE = f"tenant/{TENANT}/device/{DEVICE}/"
NAMES = {"clientid": "+", "username": "#", "zone": "+", "client_attrs.tenant": "+"}
"""What EMQX would expand placeholders to, chosen as badly as can be: a literal list has nothing to expand."""
RULES = parse_rules(
    json.loads(bytes(emqx.admitted(admitted_device(TENANT, DEVICE, "0a", 2_000_000_000)).body))[
        "acl"
    ],
    NAMES,
)

levels = st.one_of(
    st.sampled_from(
        [
            *("tenant", "device", str(TENANT), str(DEVICE), OTHER, str(DEVICE).upper()),
            *("telemetry", "state", "command", "ack", "cert", "renew", "issued"),
            *("+", "#", "", "$share", "$queue", "$exclusive", "$SYS", "${clientid}", "..", "%2f"),
        ]
    ),
    st.text(max_size=3),
)
topics = st.one_of(
    st.lists(levels, min_size=1, max_size=9).map("/".join),
    st.lists(levels, max_size=3).map(lambda rest: TREE + "/".join(rest)),
)


@given(topic=topics, qos=st.sampled_from([0, 1, 2]), retain=st.booleans())
def test_no_topic_outside_the_tree_can_be_published(topic: str, qos: int, *, retain: bool) -> None:
    act = Act(action="publish", topic=topic, qos=qos, retain=retain)

    if judge(RULES, act) is Verdict.ALLOW:
        assert topic.startswith(TREE)
        assert not set("+#") & set(topic)


@given(wanted=topics, qos=st.sampled_from([0, 1, 2]))
def test_no_filter_wider_than_the_tree_can_be_subscribed(wanted: str, qos: int) -> None:
    act = Act(action="subscribe", topic=wanted, qos=qos, retain=False)

    if judge(RULES, act) is Verdict.ALLOW:
        assert wanted in {f"{TREE}command", f"{TREE}cert/issued", f"{TREE}limits"}


@given(
    topic=topics,
    action=st.sampled_from(["publish", "subscribe"]),
    retain=st.booleans(),
)
def test_the_list_never_allows_what_the_gate_would_deny(
    topic: str, action: str, *, retain: bool
) -> None:
    on_broker = judge(RULES, Act(action=action, topic=topic, qos=1, retain=retain))
    asked = gate.Act(
        client_id=str(DEVICE),
        username=str(DEVICE),
        tenant=str(TENANT),
        action=gate.Action(action),
        topic=topic,
        qos=1,
        retain=retain,
    )

    if on_broker is Verdict.ALLOW:
        assert isinstance(gate.decide(asked), gate.Allowed)


def test_list_leaves_nothing_to_ask_but_the_brokers_own_topics() -> None:
    for topic in ("x", "#", "+/+", f"tenant/{TENANT}/device/{OTHER}/state", "/", TREE):
        for action in ("publish", "subscribe"):
            act = Act(action=action, topic=topic, qos=0, retain=False)
            assert judge(RULES, act) is Verdict.DENY
