"""What a session may do, and that nothing else is ever allowed."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mqtt_authz.acl import Act, Action, Allowed, decide, device_rules
from mqtt_authz.reasons import Denied, Reason
from pulse_common.identity import TenantId

TENANT = TenantId(UUID("11111111-1111-4111-8111-111111111111"))
OTHER = TenantId(UUID("22222222-2222-4222-8222-222222222222"))
DEVICE = UUID("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
NEIGHBOUR = UUID("bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb")
TREE = f"tenant/{TENANT}/device/{DEVICE}"

MAY_PUBLISH = {f"{TREE}/{leaf}" for leaf in ("telemetry", "state", "command/ack", "cert/renew")}
MAY_SUBSCRIBE = {f"{TREE}/command", f"{TREE}/cert/issued", f"{TREE}/limits"}


def act(
    action: Action, topic: str, *, qos: Literal[0, 1, 2] = 1, retain: bool = False
) -> Allowed | Denied:
    return decide(
        Act(
            client_id=str(DEVICE),
            username=str(DEVICE),
            tenant=str(TENANT),
            action=action,
            topic=topic,
            qos=qos,
            retain=retain,
        )
    )


def service(action: Action, topic: str, *, client_id: str = "ingest-1", tenant: str = "") -> bool:
    asked = Act(
        client_id=client_id,
        username="svc_ingest_worker",
        tenant=tenant,
        action=action,
        topic=topic,
        qos=1,
        retain=False,
    )
    return decide(asked) == Allowed()


def test_device_rules_are_exactly_the_documented_topics() -> None:
    rules = device_rules(TENANT, DEVICE)

    assert {r.topic for r in rules if r.action is Action.PUBLISH} == MAY_PUBLISH
    assert {r.topic for r in rules if r.action is Action.SUBSCRIBE} == MAY_SUBSCRIBE
    assert [r.topic for r in rules if r.retained] == [f"{TREE}/state"]


@pytest.mark.parametrize("topic", sorted(MAY_PUBLISH))
def test_device_may_publish_on_its_own_topics(topic: str) -> None:
    assert act(Action.PUBLISH, topic) == Allowed()


@pytest.mark.parametrize("topic", sorted(MAY_SUBSCRIBE))
@pytest.mark.parametrize("prefix", ["", "$share/g/", "$queue/", "$exclusive/"])
def test_device_may_subscribe_to_its_own_topics(topic: str, prefix: str) -> None:
    assert act(Action.SUBSCRIBE, prefix + topic) == Allowed()


@pytest.mark.parametrize("leaf", ["telemetry", "command/ack", "cert/renew"])
def test_only_the_state_may_be_retained(leaf: str) -> None:
    assert act(Action.PUBLISH, f"{TREE}/state", retain=True) == Allowed()
    assert act(Action.PUBLISH, f"{TREE}/{leaf}", retain=True) == Denied(Reason.RETAIN_NOT_ALLOWED)


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("#", Reason.TOPIC_NOT_ALLOWED),
        ("+/+/+/+/command", Reason.TOPIC_NOT_ALLOWED),
        (f"tenant/{TENANT}/#", Reason.TOPIC_NOT_ALLOWED),
        (f"{TREE}/#", Reason.TOPIC_NOT_ALLOWED),
        (f"{TREE}/+", Reason.TOPIC_NOT_ALLOWED),
        (f"{TREE}/telemetry", Reason.TOPIC_NOT_ALLOWED),
        (f"tenant/{TENANT}/device/{NEIGHBOUR}/command", Reason.TOPIC_NOT_ALLOWED),
        (f"tenant/{OTHER}/device/{DEVICE}/command", Reason.TOPIC_NOT_ALLOWED),
        (f"{TREE}/command/#", Reason.TOPIC_NOT_ALLOWED),
        (f"{TREE}/COMMAND", Reason.TOPIC_NOT_ALLOWED),
        (f"/{TREE}/command", Reason.TOPIC_NOT_ALLOWED),
        (f"{TREE}/command/", Reason.TOPIC_NOT_ALLOWED),
        ("$share/g/#", Reason.TOPIC_NOT_ALLOWED),
        (f"$share/g/tenant/{OTHER}/#", Reason.TOPIC_NOT_ALLOWED),
        ("$SYS/#", Reason.SYSTEM_TOPIC),
        ("$share/g/$SYS/#", Reason.SYSTEM_TOPIC),
        (f"$share/g/$queue/{TREE}/command", Reason.SYSTEM_TOPIC),
        ("$share/g", Reason.SYSTEM_TOPIC),
        ("$queue/", Reason.BAD_TOPIC),
        (f"{TREE}/command\x00", Reason.BAD_TOPIC),
        (f"{TREE}/command\n", Reason.BAD_TOPIC),
        (f"{TREE}/#/command", Reason.BAD_TOPIC),
        ("", Reason.BAD_TOPIC),
    ],
)
def test_device_may_not_subscribe_beyond_its_tree(topic: str, reason: Reason) -> None:
    assert act(Action.SUBSCRIBE, topic) == Denied(reason)


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        (f"{TREE}/command", Reason.TOPIC_NOT_ALLOWED),
        (f"{TREE}/cert/issued", Reason.TOPIC_NOT_ALLOWED),
        (f"tenant/{OTHER}/device/{DEVICE}/telemetry", Reason.TOPIC_NOT_ALLOWED),
        (f"tenant/{TENANT}/device/{NEIGHBOUR}/telemetry", Reason.TOPIC_NOT_ALLOWED),
        (f"{TREE}/telemetry/more", Reason.TOPIC_NOT_ALLOWED),
        (f"$share/g/{TREE}/telemetry", Reason.SYSTEM_TOPIC),
        (f"$delayed/5/{TREE}/telemetry", Reason.SYSTEM_TOPIC),
        ("$SYS/x", Reason.SYSTEM_TOPIC),
        (f"{TREE}/+", Reason.BAD_TOPIC),
        (f"{TREE}/telemetry#", Reason.BAD_TOPIC),
    ],
)
def test_device_may_not_publish_beyond_its_tree(topic: str, reason: Reason) -> None:
    assert act(Action.PUBLISH, topic) == Denied(reason)


parts = st.sampled_from(
    [
        *("tenant", "device", "telemetry", "state", "command", "ack", "cert", "renew", "issued"),
        *(str(TENANT), str(OTHER), str(DEVICE), str(NEIGHBOUR), str(DEVICE).upper()),
        *("+", "#", "$share", "$queue", "$exclusive", "$SYS", "$delayed", "g", "..", "."),
        *("", "%2F", "%2b", "\x00", "\u202e", "\uff0f", "${clientid}", "*", "\\", "eq "),
    ]
)
separators = st.sampled_from(["/", "/", "/", "//", "", " ", "\\", "%2F", "\uff0f"])
junk = st.lists(st.tuples(parts, separators), max_size=12).map(
    lambda made: "".join(part + separator for part, separator in made)
)
own = st.sampled_from(sorted(MAY_PUBLISH | MAY_SUBSCRIBE))
spliced = st.tuples(own, st.integers(0, 110), parts).map(
    lambda made: made[0][: made[1]] + made[2] + made[0][made[1] :]
)
prefixed = st.tuples(
    st.sampled_from(["$share/g/", "$queue/", "$exclusive/", "$share//", "$share/+/", "$SYS/"]),
    st.one_of(own, junk),
).map("".join)
anything = st.one_of(junk, own, spliced, prefixed, st.text())


@settings(max_examples=1000)
@given(topic=anything, retain=st.booleans())
def test_no_topic_but_its_own_can_be_published(topic: str, *, retain: bool) -> None:
    allowed = act(Action.PUBLISH, topic, retain=retain) == Allowed()

    assert allowed == (topic in MAY_PUBLISH and (not retain or topic == f"{TREE}/state"))


@settings(max_examples=1000)
@given(wanted=anything)
def test_no_filter_but_its_own_can_be_subscribed(wanted: str) -> None:
    allowed = act(Action.SUBSCRIBE, wanted) == Allowed()

    if allowed:
        assert wanted.removeprefix("$queue/").removeprefix("$exclusive/") in MAY_SUBSCRIBE or (
            wanted.startswith("$share/") and wanted.split("/", 2)[2] in MAY_SUBSCRIBE
        )


@settings(max_examples=300)
@given(tenant=st.one_of(parts, st.text()), client_id=st.one_of(parts, st.text()), leaf=st.text())
def test_names_that_are_not_ids_never_become_rules(tenant: str, client_id: str, leaf: str) -> None:
    asked = Act(
        client_id=client_id,
        username="",
        tenant=tenant,
        action=Action.PUBLISH,
        topic=f"tenant/{tenant}/device/{client_id}/telemetry",
        qos=0,
        retain=False,
    )
    ids = {str(TENANT), str(OTHER), str(DEVICE), str(NEIGHBOUR)}

    if decide(asked) == Allowed():
        assert {tenant, client_id} <= ids


def test_ingest_may_read_every_device_and_send_commands() -> None:
    assert service(Action.SUBSCRIBE, "$share/ingest/tenant/+/device/+/telemetry")
    assert service(Action.SUBSCRIBE, "tenant/+/device/+/state")
    assert service(Action.SUBSCRIBE, "tenant/+/device/+/command/ack")
    assert service(Action.PUBLISH, f"{TREE}/command")


def test_ingest_may_do_nothing_else() -> None:
    assert not service(Action.SUBSCRIBE, "#")
    assert not service(Action.SUBSCRIBE, "tenant/+/device/+/#")
    assert not service(Action.SUBSCRIBE, "$share/ingest/tenant/#")
    assert not service(Action.SUBSCRIBE, f"{TREE}/command")
    assert not service(Action.PUBLISH, f"{TREE}/telemetry")
    assert not service(Action.PUBLISH, "tenant/+/device/+/command")


def test_service_name_is_worth_nothing_to_a_device() -> None:
    topic = f"tenant/{OTHER}/device/{NEIGHBOUR}/command"

    assert not service(Action.PUBLISH, topic, client_id=str(DEVICE))
    assert not service(Action.PUBLISH, topic, client_id=str(DEVICE), tenant=str(TENANT))
    assert not service(Action.PUBLISH, topic, tenant=str(TENANT))
