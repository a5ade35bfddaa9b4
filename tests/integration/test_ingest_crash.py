"""Kills and stops the stack's own ingest_worker in the middle of its work: nothing lost, nothing stored twice.

kill -9 proves that the order of acknowledgements is right.  It does not prove what a power cut leaves: the page cache
survives a killed process (hazard 22).
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.integration.waiting import eventually
from tests.integration.world import connected

from pulse_local.seed import ACME

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from tests.integration.world import Device, World

    from pulse_local.broker.testing.peer import Peer
    from pulse_local.processes import Part

pytestmark = pytest.mark.integration

MESSAGES = 5_000
SECONDS = 60.0


@pytest.fixture
def worker(world: World) -> Iterator[Part]:
    part = world.stack.part("ingest_worker")
    yield part
    if not part.is_running():
        part.start()


@pytest.fixture
def device(world: World) -> Device:
    return world.enrol(ACME, "Chatterbox")


@pytest.fixture
def peer(device: Device) -> Iterator[Peer]:
    client = device.client()
    client.max_inflight_messages_set(200)
    with connected(client, device.mqtts_port) as connection:
        yield connection


def _publish(peer: Peer, device: Device, payloads: list[str]) -> None:
    """Publish with QoS 1, and return once the broker has acknowledged every one."""
    sent = [peer.client.publish(device.telemetry, each, 1) for each in payloads]
    for message in sent:
        message.wait_for_publish(SECONDS)
        assert message.is_published()


def _count(database: psycopg.Connection, device: Device) -> int:
    query = "SELECT count(*) FROM telemetry WHERE device_id = %s"
    row = database.execute(query, [device.device_id]).fetchone()
    assert row is not None
    return int(row[0])


def _wait_for(database: psycopg.Connection, device: Device, wanted: int) -> None:
    eventually(lambda: _count(database, device) >= wanted, f"{wanted} rows", SECONDS)


def _stored_numbers(database: psycopg.Connection, device: Device) -> Counter[int]:
    query = "SELECT (metrics->>'number')::float FROM telemetry WHERE device_id = %s"
    return Counter(int(row[0]) for row in database.execute(query, [device.device_id]))


def test_kill_9_loses_nothing_and_stores_nothing_twice(
    worker: Part, peer: Peer, device: Device, database: psycopg.Connection
) -> None:
    now = time.time_ns() // 1_000_000
    payloads = [
        json.dumps({"ts": now, "metrics": {"number": number, "load": 0.5, "note": "x" * 100}})
        for number in range(MESSAGES)
    ]
    publishing = threading.Thread(target=_publish, args=(peer, device, payloads))

    publishing.start()
    stored_at_death = []
    for progress in (300, 1200, 2500):
        _wait_for(database, device, progress)
        worker.kill()
        stored_at_death.append(_count(database, device))
        worker.start()
    publishing.join()
    _wait_for(database, device, MESSAGES)
    time.sleep(1)  # whatever would come twice, comes now

    assert stored_at_death[0] < MESSAGES
    assert _stored_numbers(database, device) == Counter(range(MESSAGES))


def test_orderly_stop_settles_what_was_taken(
    worker: Part, peer: Peer, device: Device, database: psycopg.Connection
) -> None:
    """Without a time of the device's own a redelivery would be a second row: here there must be none."""
    payloads = [json.dumps({"metrics": {"number": number}}) for number in range(2000)]
    publishing = threading.Thread(target=_publish, args=(peer, device, payloads))

    publishing.start()
    _wait_for(database, device, 200)
    worker.restart()
    publishing.join()
    _wait_for(database, device, len(payloads))
    time.sleep(1)

    assert _stored_numbers(database, device) == Counter(range(len(payloads)))
