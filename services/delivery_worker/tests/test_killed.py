"""kill -9 in the middle of delivering: nothing that was acknowledged is lost, and what comes twice has the same id.

It proves the order of acknowledgements, not what a power cut leaves: the page cache survives a killed process.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.delivery_worker.tests.conftest import messages, until_true
from services.delivery_worker.tests.endpoints import Endpoint, serving
from services.delivery_worker.tests.test_app import environment_of
from tests.parts import PASSWORD

from delivery_worker.signing import Safe, new_secret
from pulse_common import events
from pulse_common.bus import Bus

if TYPE_CHECKING:
    import psycopg
    from tests.parts import Nats, Postgres

pytestmark = [pytest.mark.anyio, pytest.mark.integration, pytest.mark.timeout(180)]
MESSAGES = 1500


def start(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "delivery_worker"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def add_route(database: psycopg.Connection, tenant: UUID, url: str) -> None:
    route = uuid4()
    sealed = Safe([b"k" * 32]).seal(new_secret(), tenant, route)
    database.execute(
        "INSERT INTO routes (tenant_id, route_id, name, url, event_types, secret_sealed, status, concurrency)"
        " VALUES (%s, %s, 'a route', %s, '{telemetry}', %s, 'active', 8)",
        [tenant, route, url, sealed],
    )


async def publish(bus: Bus, tenant: UUID, now: str) -> None:
    for number in range(MESSAGES):
        reading = {
            "tenant_id": str(tenant),
            "device_id": str(uuid4()),
            "message_id": str(uuid4()),
            "ts": now,
            "received_at": now,
            "metrics": {"n": number},
        }
        subject = f"pulse.telemetry.{tenant}.{reading['device_id']}"
        await bus.publish_stored(
            subject, json.dumps(reading).encode(), message_id=str(reading["message_id"])
        )


async def has_router(bus: Bus) -> bool:
    return bool(await bus.jetstream.consumers_info(events.STREAM_TELEMETRY))


async def test_nothing_acknowledged_is_lost_and_repeats_have_the_same_id(
    postgres: Postgres, nats_server: Nats, tenant: UUID, superuser: psycopg.Connection
) -> None:
    bus = await Bus.connect(url=nats_server.url, user="test", password=PASSWORD, service="test")
    await bus.ensure_stream(events.STREAM_TELEMETRY)
    async with serving(Endpoint()) as endpoint:
        environment = {
            **environment_of(postgres, nats_server),
            "DELIVERY_ALLOW_HTTP": "true",
            "DELIVERY_ALLOWED_NETWORKS": "127.0.0.1/32",
            "DELIVERY_ALLOWED_PORTS": str(endpoint.port),
        }
        add_route(superuser, tenant, endpoint.url)
        worker = start(environment)
        try:
            await until_true(lambda: has_router(bus), 30)
            publishing = asyncio.create_task(publish(bus, tenant, "2026-01-01T00:00:00Z"))
            seen = []
            for progress in (100, 400, 800):
                await until_true(lambda p=progress: len(messages(endpoint)) >= p, 60)  # type: ignore[misc]
                worker.send_signal(signal.SIGKILL)
                worker.wait()
                seen.append(len(messages(endpoint)))
                worker = start(environment)
            await publishing
            names: dict[str, set[int]] = defaultdict(set)

            def everything() -> bool:
                for got in messages(endpoint):
                    number = json.loads(got.body)["data"]["metrics"]["n"]
                    names[got.headers["webhook-id"]].add(number)
                return len(names) >= MESSAGES

            # What was under way when it died comes after the ack wait of a minute.
            await until_true(everything, 120)
        finally:
            worker.kill()
            worker.wait()
            await bus.close()

        assert seen[0] < MESSAGES
        assert {number for numbers in names.values() for number in numbers} == set(range(MESSAGES))
        assert len(names) == MESSAGES
