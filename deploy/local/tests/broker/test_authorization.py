"""What an admitted client may do: by its list, by the HTTP answer, and no further."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pulse_local.broker.testing.peer import Peer
    from pulse_local.broker.testing.rig import Rig

REFUSED = 0x80
ACL = [
    {"permission": "allow", "action": "publish", "topic": "tenant/t1/device/dev-1/telemetry"},
    {"permission": "deny", "action": "all", "topic": "tenant/t1/device/dev-1/commands/secret"},
    {"permission": "allow", "action": "subscribe", "topic": "tenant/t1/device/dev-1/commands/#"},
    {"permission": "allow", "action": "publish", "topic": "quiet", "qos": 0, "retain": False},
]
DENY_THE_REST = {"permission": "deny", "action": "all", "topics": ["#", "$SYS/#"]}


def device(rig: Rig, *, complete: bool = True) -> Peer:
    acl = [*ACL, DENY_THE_REST] if complete else ACL
    rig.authz.answer_authentication(
        {"result": "allow", "acl": acl, "client_attrs": {"tenant": "t1"}}
    )
    peer = rig.peer("foo", certificate=rig.authority.issue(CN="dev-1"))
    assert peer.connect() == 0
    return peer


def watcher(rig: Rig, *filters: str) -> Peer:
    """Subscribe as a service that may see everything."""
    rig.authz.answer_authentication({"result": "allow", "is_superuser": True})
    peer = rig.peer("watcher")
    peer.connect()
    peer.subscribe(*filters)
    return peer


def test_a_device_publishes_where_its_rules_say(rig: Rig) -> None:
    service = watcher(rig, "$share/ingest/tenant/+/device/+/telemetry")
    peer = device(rig)

    peer.publish_and_wait("tenant/t1/device/dev-1/telemetry", "21.5")

    assert service.receive().payload == b"21.5"
    assert rig.authz.asked("/acl") == []


@pytest.mark.parametrize(
    ("topic", "qos", "retain"),
    [
        ("tenant/t1/device/dev-2/telemetry", 1, False),
        ("tenant/t2/device/dev-1/telemetry", 0, False),
        ("$SYS/brokers", 1, False),
        ("$delayed/1/tenant/t1/device/dev-2/telemetry", 1, False),
        ("$share/g/tenant/t1/device/dev-1/telemetry", 1, False),
        ("quiet", 1, False),
        ("quiet", 0, True),
    ],
)
def test_a_denied_publish_disconnects_and_reaches_nobody(
    rig: Rig, topic: str, qos: int, *, retain: bool
) -> None:
    service = watcher(rig, "#")
    peer = device(rig)

    peer.publish(topic, qos=qos, retain=retain)

    assert peer.is_closed()
    assert service.receive_all(0.2) == []
    if qos == 1:
        assert peer.acknowledged.empty()


@pytest.mark.parametrize(
    "wanted",
    [
        "tenant/t1/device/dev-1/commands/reboot",
        "tenant/t1/device/dev-1/commands/#",
        "tenant/t1/device/dev-1/commands/+",
        "$share/g/tenant/t1/device/dev-1/commands/#",
        "$queue/tenant/t1/device/dev-1/commands/#",
    ],
)
def test_a_device_subscribes_to_what_its_rules_contain(rig: Rig, wanted: str) -> None:
    assert device(rig).subscribe(wanted) == [1]


@pytest.mark.parametrize(
    "wanted",
    [
        "#", "+/#", "tenant/#", "tenant/t1/device/+/commands/#", "tenant/t1/device/dev-1/#",
        "tenant/t1/device/dev-2/commands/#", "tenant/t1/device/dev-1/commands/secret",
        "$share/g/#", "$share/g/tenant/t1/device/+/commands/#", "$queue/#", "$SYS/#",
        "$share/g/$SYS/#",
    ],
)  # fmt: skip
def test_a_wider_or_foreign_filter_is_refused_and_disconnects(rig: Rig, wanted: str) -> None:
    peer = device(rig)

    codes = peer.subscribe(wanted)

    assert codes == [REFUSED]
    assert peer.is_closed()


def test_one_denied_filter_refuses_the_whole_subscribe(rig: Rig) -> None:
    peer = device(rig)

    codes = peer.subscribe("tenant/t1/device/dev-1/commands/#", "tenant/#")

    assert codes == [REFUSED, REFUSED]
    assert peer.is_closed()


def test_what_no_rule_matches_is_asked_with_the_recorded_fields(rig: Rig) -> None:
    rig.authz.answer_authorization({"result": "allow"})
    peer = device(rig, complete=False)

    peer.subscribe("$share/g/s/+/#", qos=2)
    peer.publish_and_wait("p/1", retain=True)

    common = {
        "clientid": "dev-1", "username": "dev-1", "peerhost": "127.0.0.1", "proto_name": "mqtt",
        "mountpoint": "", "tenant": "t1", "cert_common_name": "dev-1", "cert_subject": "CN=dev-1",
        "cert_pem": "",
    }  # fmt: skip
    assert rig.authz.asked("/acl") == [
        common
        | {"action": "subscribe", "access": "1", "topic": "s/+/#", "qos": "2", "retain": "false"},
        common | {"action": "publish", "access": "2", "topic": "p/1", "qos": "1", "retain": "true"},
    ]


@pytest.mark.parametrize(
    ("body", "status", "content_type"),
    [
        ({"result": "deny"}, 200, "application/json"),
        ({"result": "ignore"}, 200, "application/json"),
        ({}, 200, "application/json"),
        ("", 200, "application/json"),
        ({"result": "allow"}, 200, "text/plain"),
        ({"result": "allow"}, 403, "application/json"),
        ({"result": "allow"}, 500, "application/json"),
        ("", 0, ""),
    ],
)
def test_every_answer_that_does_not_allow_denies(
    rig: Rig, body: object, status: int, content_type: str
) -> None:
    rig.authz.answer_authorization(body, status, content_type)
    peer = device(rig, complete=False)

    peer.publish("other/topic")

    assert peer.is_closed()
    assert peer.acknowledged.empty()


def test_an_answer_without_a_body_allows(rig: Rig) -> None:
    rig.authz.answer_authorization(status=204)
    peer = device(rig, complete=False)

    peer.publish_and_wait("other/topic")


def test_an_answer_is_cached_until_the_cache_is_dropped(rig: Rig) -> None:
    rig.authz.answer_authorization({"result": "allow"})
    peer = device(rig, complete=False)
    for _ in range(3):
        peer.publish_and_wait("other/topic")
    asked = len(rig.authz.asked("/acl"))

    dropped = rig.api.delete("/clients/dev-1/authorization/cache")
    rig.authz.answer_authorization({"result": "deny"})
    peer.publish("other/topic")

    assert asked == 1
    assert dropped.status_code == 204
    assert peer.is_closed()


def test_a_superuser_is_not_judged(rig: Rig) -> None:
    service = watcher(rig, "#")

    service.publish_and_wait("anything")

    assert service.receive().topic == "anything"
    assert rig.authz.asked("/acl") == []


def test_a_will_is_published_when_the_connection_breaks(rig: Rig) -> None:
    service = watcher(rig, "wills/#")
    rig.authz.answer_authentication(
        {"result": "allow", "acl": [{"permission": "allow", "action": "all", "topic": "#"}]}
    )
    peer = rig.peer("dies", will=("wills/dies", "gone"))
    peer.connect()

    peer.pull_the_plug()

    assert service.receive().payload == b"gone"


def test_a_will_is_judged_when_it_is_published(rig: Rig) -> None:
    service = watcher(rig, "#")
    rig.authz.answer_authentication({"result": "allow", "acl": [DENY_THE_REST]})
    peer = rig.peer("dies", will=("wills/dies", "gone"))
    assert peer.connect() == 0

    peer.pull_the_plug()

    assert service.receive_all(0.2) == []


def test_a_client_that_says_goodbye_leaves_no_will(open_rig: Rig) -> None:
    service = watcher(open_rig, "#")
    open_rig.authz.answer_authentication(
        {"result": "allow", "acl": [{"permission": "allow", "action": "all", "topic": "#"}]}
    )
    peer = open_rig.peer("leaves", will=("wills/leaves", "gone"))
    peer.connect()

    peer.leave()

    assert service.receive_all(0.2) == []


def test_what_the_list_denies_is_told_and_not_asked(rig: Rig) -> None:
    peer = device(rig)

    peer.publish("tenant/t2/device/dev-2/telemetry", "x")
    rig.authz.wait_for_calls(2)

    (told,) = rig.authz.asked("/denied")
    assert (told["clientid"], told["tenant"]) == ("dev-1", "t1")
    assert (told["action"], told["topic"]) == ("publish", "tenant/t2/device/dev-2/telemetry")
    assert rig.authz.asked("/acl") == []
