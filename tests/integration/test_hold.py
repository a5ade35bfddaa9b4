"""A certificate on hold is as good as revoked, until it is released: session cut, refused, and let in again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest
from tests.integration.waiting import eventually

from pulse_common import events
from pulse_common.bus import Bus
from pulse_local.broker.testing.peer import Peer
from pulse_local.seed import ACME

if TYPE_CHECKING:
    from tests.integration.world import Device, World

pytestmark = pytest.mark.integration

NOT_AUTHORIZED = 0x87  # as paho names MQTT 3.1.1's 5
ACTOR = "alice@acme.example"


def test_device_on_hold_is_cut_and_refused_until_it_is_released(world: World) -> None:
    device = world.enrol(ACME, "Lamp on hold")

    # Twice: a cut that was confirmed once must not stand for the next hold.
    for _ in range(2):
        with device.online() as peer:
            assert _ask(world, _hold(device)) == 1
            eventually(peer.is_closed, "the session to be cut")
        eventually(lambda: _code(device) == NOT_AUTHORIZED, "the device to be refused")
        eventually(lambda: _is_confirmed(world, device), "the cut to be confirmed")

        assert _ask(world, _release(device)) == 1
        eventually(lambda: _code(device) == 0, "the device to be let in again", 5)


def _hold(device: Device) -> events.RevokeCertificatesRequest:
    return events.RevokeCertificatesRequest(
        tenant_id=UUID(device.tenant_id),
        by="device",
        selected=device.device_id,
        reason="certificateHold",
        actor_id=ACTOR,
    )


def _release(device: Device) -> events.ReleaseCertificatesRequest:
    return events.ReleaseCertificatesRequest(
        tenant_id=UUID(device.tenant_id), by="device", selected=device.device_id, actor_id=ACTOR
    )


def _ask(
    world: World,
    request: events.RevokeCertificatesRequest | events.ReleaseCertificatesRequest,
) -> int:
    """Ask the authority as the UI does, with its own login; return how many certificates changed."""

    async def ask() -> int:
        bus = await Bus.connect(
            url=f"nats://127.0.0.1:{world.stack.ports.nats}",
            user="svc_ui_iot",
            password=world.stack.secrets.nats["svc_ui_iot"],
            service="ui_iot",
        )
        try:
            return (await bus.call(request, events.ChangeCertificatesReply)).certificates
        finally:
            await bus.close()

    return asyncio.run(ask())


def _code(device: Device) -> int | None:
    peer = Peer(device.client(), device.mqtts_port)
    try:
        return peer.connect()
    finally:
        peer.leave()


def _is_confirmed(world: World, device: Device) -> bool:
    """Whether the cut has been confirmed: only then is there a ban to lift."""
    with psycopg.connect(world.superuser, autocommit=True) as rows:
        found = rows.execute(
            "SELECT session_cut_at >= revoked_at FROM certificates WHERE device_id = %s",
            [device.device_id],
        ).fetchone()
    return found is not None and bool(found[0])
