"""Tenant B's device, with its own good certificate, cannot speak as tenant A's, listen to it or take its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.waiting import eventually
from tests.integration.world import connected, new_client, reading

from pulse_local.broker.testing.authority import Authority
from pulse_local.seed import ACME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.people import Person
    from tests.integration.world import Device, World

    from pulse_local.broker.testing.peer import Peer

pytestmark = pytest.mark.integration

EVERYTHING = ["telemetry", "state", "command", "command/ack", "cert/renew", "cert/issued", "limits"]
FILTERS = [
    "{tree}/telemetry",
    "{tree}/command",
    "{tree}/#",
    "{tree}/+",
    "#",
    "+/#",
    "tenant/#",
    "+/+/+/+/+",
    "+/+/+/+/+/+",
    "tenant/{tenant}/#",
    "tenant/+/device/+/telemetry",
    "tenant/+/device/{own}/command",
    "tenant/{tenant}/device/{own}/command",
    "$share/g/{tree}/command",
    "$share/g/tenant/{tenant}/#",
    "$share/g/#",
    "$share/ingest/tenant/+/device/+/telemetry",
    "$queue/{tree}/telemetry",
    "$queue/#",
    "$exclusive/{tree}/telemetry",
    "$SYS/#",
    "$SYS/brokers/+/clients/#",
]


@pytest.fixture
def witness(world: World) -> Iterator[Peer]:
    """Hear what the broker lets through: telemetry, states and acknowledgements of every device."""
    with connected(world.witness(), world.stack.ports.mqtt_internal) as peer:
        heard = [f"tenant/+/device/+/{what}" for what in ("telemetry", "state", "command/ack")]
        assert peer.subscribe(*heard) == [1, 1, 1]
        # What was retained comes at once, and is nothing of the test's.
        peer.receive_all(0.1)
        yield peer


@pytest.mark.parametrize("what", EVERYTHING)
@pytest.mark.parametrize("how", ["passing", "retained"])
def test_publishes_to_another_tenants_topics_go_nowhere(
    witness: Peer, device_a: Device, device_b: Device, what: str, how: str
) -> None:
    with device_a.online() as a, device_b.online() as b:
        assert a.subscribe(f"{device_a.tree}/command") == [1]
        b.publish_and_wait(device_b.telemetry, reading(own=1))
        b.publish(f"{device_a.tree}/{what}", reading(forged=1), retain=how == "retained")
        # The broker's answer to a forbidden act is the end of the connection.
        assert b.is_closed()
        a.publish_and_wait(f"{device_a.tree}/state", "on", retain=True)
        topics = [witness.receive().topic for _ in range(2)]
        commands = a.receive_all(0.05)

    assert topics == [device_b.telemetry, f"{device_a.tree}/state"]
    assert commands == []


def test_nothing_forged_is_stored_or_shown(alice: Person, device_a: Device) -> None:
    with device_a.online() as a:
        a.publish_and_wait(device_a.telemetry, reading(genuine=1))

    path = f"/api/v2/devices/{device_a.device_id}"
    eventually(lambda: "genuine" in alice.api.get(f"{path}/telemetry").text, "A's own reading")

    assert "forged" not in alice.api.get(f"{path}/telemetry").text
    assert "forged" not in alice.api.get(path).text


@pytest.mark.parametrize("wanted", FILTERS)
def test_no_filter_reaches_beyond_ones_own_tree(
    device_a: Device, device_b: Device, wanted: str
) -> None:
    ids = {"tree": device_a.tree, "tenant": device_a.tenant_id, "own": device_b.device_id}
    with device_a.online() as a, device_b.online() as b:
        own = b.subscribe(f"{device_b.tree}/command")
        # One SUBSCRIBE carries many filters, and a good one does not carry its neighbour in.
        answers = b.subscribe(f"{device_b.tree}/command", wanted.format(**ids))
        a.publish_and_wait(device_a.telemetry, reading(secret_of_a=1))
        was_cut = b.is_closed()

    assert own == [1]
    assert answers[1] == 0x80
    assert was_cut
    assert b.messages.empty()


def test_commands_reach_the_named_device_and_no_other(
    alice: Person, device_a: Device, device_b: Device
) -> None:
    with device_a.online() as a, device_b.online() as b:
        assert a.subscribe(f"{device_a.tree}/command") == [1]
        assert b.subscribe(f"{device_b.tree}/command") == [1]
        path = f"/api/v2/devices/{device_a.device_id}/commands"
        sent = alice.browser.post(path, json={"name": "open-valve"})
        command = a.receive()
        others = b.receive_all(0.3)

    assert sent.status_code == 202
    assert sent.json()["command_id"] in command.payload.decode()
    assert others == []


def test_will_on_another_tenants_topic_is_not_published(
    witness: Peer, device_a: Device, device_b: Device
) -> None:
    for device in (device_a, device_b):
        client = device_b.client()
        client.will_set(device.telemetry, reading(last_words=1), qos=1)
        with connected(client, device_b.mqtts_port) as b:
            b.pull_the_plug()
    topic = witness.receive().topic

    assert topic == device_b.telemetry
    assert witness.receive_all(0.2) == []


def test_client_id_of_another_device_does_not_take_its_session_over(
    witness: Peer, device_a: Device, device_b: Device
) -> None:
    forged = device_b.client(client_id=device_a.device_id)
    forged.username_pw_set(device_a.device_id, "x")
    with device_a.online() as a, connected(forged, device_b.mqtts_port) as b:
        b.publish_and_wait(device_b.telemetry, reading(own=1))
        answers = [b.subscribe(f"{tree}/command") for tree in (device_b.tree, device_a.tree)]
        a.publish_and_wait(f"{device_a.tree}/state", "still here")
        topics = [witness.receive().topic for _ in range(2)]
        a_was_closed = a.closed.is_set()

    # The certificate says who it is, not the client id.
    assert answers == [[1], [0x80]]
    assert topics == [device_b.telemetry, f"{device_a.tree}/state"]
    assert not a_was_closed


def test_certificate_of_another_authority_is_refused(device_a: Device, tmp_path: Path) -> None:
    forger = Authority(tmp_path, "forger")
    both = forger.issue(CN=device_a.device_id, O=ACME)
    client = new_client(device_a.device_id)
    tls = device_a.tls()
    tls.load_cert_chain(both)
    client.tls_set_context(tls)

    with device_a.online() as genuine:
        with pytest.raises(AssertionError), connected(client, device_a.mqtts_port):
            pass

        assert not genuine.closed.is_set()
