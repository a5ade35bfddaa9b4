"""No acknowledged message is lost: killed subscribers, late acknowledgements, shared groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulse_local.broker.testing.rig import Rig

TELEMETRY = "$share/ingest/tenant/+/device/+/telemetry"
TOPIC = "tenant/t1/device/d1/telemetry"
COUNT = 1000


def test_a_killed_subscriber_loses_nothing_that_was_acknowledged(open_rig: Rig) -> None:
    first = open_rig.peer("ingest-0", clean=False, manual_ack=True)
    first.connect()
    first.subscribe(TELEMETRY)
    device = open_rig.peer("d1")
    device.connect()
    for number in range(COUNT):
        device.publish(TOPIC, str(number))
    handled = []
    for _ in range(120):
        message = first.receive()
        handled.append(message.payload.decode())
    # Only what was handled first is acknowledged, late and not in order.
    for mid in reversed(range(1, 101)):
        first.client.ack(mid, 1)

    first.pull_the_plug()
    for _ in range(COUNT):
        device.acknowledged.get(timeout=10)
    second = open_rig.peer("ingest-0", clean=False)
    second.connect()
    redelivered = second.receive_all()

    assert second.session_present
    numbers = [int(message.payload) for message in redelivered]
    assert {int(text) for text in handled[:100]} | set(numbers) == set(range(COUNT))
    assert numbers == sorted(numbers)
    assert redelivered[0].dup  # seen before, perhaps
    assert not redelivered[-1].dup


def test_what_is_published_while_a_subscriber_is_away_waits_for_it(open_rig: Rig) -> None:
    away = open_rig.peer("ingest-0", clean=False)
    away.connect()
    away.subscribe(TELEMETRY)
    away.leave()
    device = open_rig.peer("d1")
    device.connect()
    for number in range(COUNT):
        device.publish(TOPIC, str(number))
    for _ in range(COUNT):
        device.acknowledged.get(timeout=10)

    back = open_rig.peer("ingest-0", clean=False)
    back.connect()

    assert [int(back.receive().payload) for _ in range(COUNT)] == list(range(COUNT))


def test_two_members_of_a_group_share_the_messages(open_rig: Rig) -> None:
    members = [open_rig.peer(name, clean=False) for name in ("ingest-0", "ingest-1")]
    for member in members:
        member.connect()
        member.subscribe(TELEMETRY)
    device = open_rig.peer("d1")
    device.connect()

    for number in range(200):
        device.publish(TOPIC, str(number))

    parts = [member.receive_all() for member in members]
    assert sorted(int(one.payload) for part in parts for one in part) == list(range(200))
    assert all(len(part) > 50 for part in parts)


def test_a_dead_member_hands_its_messages_to_the_other(open_rig: Rig) -> None:
    dies = open_rig.peer("ingest-0", clean=False, manual_ack=True)
    lives = open_rig.peer("ingest-1", clean=False)
    for member in (dies, lives):
        member.connect()
        member.subscribe(TELEMETRY)
    device = open_rig.peer("d1")
    device.connect()
    for number in range(200):
        device.publish(TOPIC, str(number))
    for _ in range(200):
        device.acknowledged.get(timeout=10)

    dies.pull_the_plug()

    assert {int(one.payload) for one in lives.receive_all()} == set(range(200))


def test_every_group_and_every_plain_subscriber_gets_a_copy(open_rig: Rig) -> None:
    peers = [open_rig.peer(name) for name in ("a", "b", "c")]
    filters = ("$share/one/news/#", "$queue/news/#", "news/+")
    for peer, wanted in zip(peers, filters, strict=True):
        peer.connect()
        peer.subscribe(wanted)

    peers[0].publish_and_wait("news/today", "hello")

    assert [peer.receive().payload for peer in peers] == [b"hello"] * 3


def test_a_subscriber_that_never_acknowledges_does_not_hold_up_the_others(open_rig: Rig) -> None:
    stuck = open_rig.peer("stuck", manual_ack=True)
    brisk = open_rig.peer("brisk")
    for peer in (stuck, brisk):
        peer.connect()
        peer.subscribe("news")
    device = open_rig.peer("d1")
    device.connect()

    for number in range(COUNT):
        device.publish("news", str(number))

    assert [int(brisk.receive().payload) for _ in range(COUNT)] == list(range(COUNT))


def test_the_same_client_id_takes_the_session_over(open_rig: Rig) -> None:
    older = open_rig.peer("same", clean=False)
    older.connect()
    older.subscribe("news")

    newer = open_rig.peer("same", clean=False)
    newer.connect()
    newer.publish_and_wait("news", "for the newer")

    assert older.is_closed()
    assert newer.session_present
    assert newer.receive().payload == b"for the newer"


def test_a_clean_connect_forgets_the_session(open_rig: Rig) -> None:
    before = open_rig.peer("same", clean=False)
    before.connect()
    before.subscribe("news")
    before.leave()

    clean = open_rig.peer("same", clean=True)
    clean.connect()
    clean.publish_and_wait("news")

    assert not clean.session_present
    assert clean.receive_all(0.2) == []


def test_qos_two_is_delivered_once(open_rig: Rig) -> None:
    peer = open_rig.peer("both")
    peer.connect()
    peer.subscribe("news", qos=2)

    peer.publish_and_wait("news", "once", qos=2)

    assert [one.payload for one in peer.receive_all(0.3)] == [b"once"]


def test_a_retained_message_greets_later_subscribers(open_rig: Rig) -> None:
    peer = open_rig.peer("d1")
    peer.connect()
    peer.publish_and_wait("state/d1", "on", retain=True)

    peer.subscribe("state/+")
    greeting = peer.receive()
    peer.publish_and_wait("state/d1", "", retain=True)
    peer.receive()
    peer.subscribe("state/d1")

    assert greeting.retain
    assert greeting.payload == b"on"
    assert peer.receive_all(0.2) == []


def test_a_delayed_message_arrives_later(open_rig: Rig) -> None:
    peer = open_rig.peer("d1")
    peer.connect()
    peer.subscribe("news")

    peer.publish_and_wait("$delayed/1/news", "later")

    assert peer.receive_all(0.3) == []
    assert peer.receive().payload == b"later"
