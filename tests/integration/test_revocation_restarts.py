"""A revocation ends in silence, confirmed, whatever is killed in the middle of it: the gate, NATS or the broker.

The device has a will that its list allows: only a ban keeps it from being published when the session is cut.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from tests.integration.waiting import eventually
from tests.integration.world import connected
from tests.parts import frozen

from pulse_common import events
from pulse_common.bus import Bus
from pulse_local.broker.testing.peer import Peer
from pulse_local.seed import ACME

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from tests.integration.world import Device, World

    from pulse_local.processes import Part

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

NOT_AUTHORIZED = 0x87  # as paho names MQTT 3.1.1's 5
CUT_SECONDS = 60.0


@contextmanager
def killed(part: Part) -> Iterator[None]:
    part.kill()
    try:
        yield
    finally:
        part.start()


@contextmanager
def interrupted(world: World, what: str, device: Device) -> Iterator[None]:
    """Revoke, and have something die in the middle; inside the context it is dead, and back afterwards."""
    part = world.stack.part(what)
    if what == "nats":
        # The gate must not be faster than the kill.
        with frozen(world.stack.part("mqtt_authz").pid):
            revoke(world, device)
            with killed(part):
                yield
        return
    with killed(part):
        revoke(world, device)
        yield


def revoke(world: World, device: Device) -> None:
    async def ask() -> None:
        bus = await Bus.connect(
            url=f"nats://127.0.0.1:{world.stack.ports.nats}",
            user="svc_ui_iot",
            password=world.stack.secrets.nats["svc_ui_iot"],
            service="ui_iot",
        )
        request = events.RevokeRequest(
            tenant_id=UUID(device.tenant_id),
            device_id=UUID(device.device_id),
            reason="keyCompromise",
            actor_id="alice@acme.example",
        )
        try:
            await bus.call(request, events.RevokeReply)
        finally:
            await bus.close()

    asyncio.run(ask())


@contextmanager
def listening(world: World) -> Iterator[Peer]:
    with connected(world.witness(), world.stack.ports.mqtt_internal) as witness:
        witness.subscribe("tenant/+/device/+/state")
        yield witness


@contextmanager
def hearing(world: World, what: str) -> Iterator[Peer]:
    """Hear every state from before the interruption on; one that lost its broker hears nothing more."""
    with listening(world) as witness:
        yield witness
        if what != "broker":
            assert not witness.closed.is_set()


def code_of(device: Device) -> int | None:
    peer = Peer(device.client(), device.mqtts_port)
    try:
        return peer.connect()
    finally:
        peer.leave()


def is_confirmed(database: psycopg.Connection, device: Device) -> bool:
    row = database.execute(
        "SELECT session_cut_at >= revoked_at FROM certificates WHERE device_id = %s",
        [device.device_id],
    ).fetchone()
    return row is not None and bool(row[0])


@pytest.mark.parametrize("what", ["mqtt_authz", "nats", "broker"])
def test_revoked_device_is_silent_and_that_is_confirmed(
    world: World, database: psycopg.Connection, what: str
) -> None:
    device = world.enrol(ACME, f"Revoked without {what}")
    client = device.client()
    will = f"{device.tree}/state"
    client.will_set(will, "last words", qos=1, retain=True)
    with connected(client, device.mqtts_port) as peer, hearing(world, what) as witness:
        peer.publish_and_wait(will, "alive", retain=True)

        with interrupted(world, what, device):
            before = is_confirmed(database, device)

        eventually(lambda: is_confirmed(database, device), "the cut's confirmation", CUT_SECONDS)
        assert peer.is_closed()
        assert eventually(lambda: code_of(device) == NOT_AUTHORIZED, "a refusal", CUT_SECONDS)
        heard = {m.payload for m in witness.receive_all(1.0) if m.topic == will}

    assert not before
    assert heard <= {b"alive"}
    with listening(world) as late:
        assert will not in {m.topic for m in late.receive_all(0.5)}  # purged, too


def test_ban_is_lifted_by_a_right_enrolment_while_nats_restarts(
    world: World, database: psycopg.Connection
) -> None:
    device = world.enrol(ACME, "Enrolled again")
    revoke(world, device)
    eventually(lambda: is_confirmed(database, device), "the cut's confirmation", CUT_SECONDS)
    assert code_of(device) == NOT_AUTHORIZED

    again = world.enrol_again(device)
    with killed(world.stack.part("nats")):
        pass

    eventually(lambda: code_of(again) == 0, "the device to be let in", CUT_SECONDS)
