"""Each part dies while readings flow: nothing that was acknowledged is lost, nothing is stored twice.

A killed process leaves the page cache, so this proves the order of acknowledgements, not what a power cut leaves.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import nats
import nats.errors
import nats.js.errors
import psycopg
import pytest
from services.ingest_worker.tests.whole import Flow, Service, make_service, until
from tests.parts import PASSWORD, Nats, Postgres, free_port, running_postgres

from pulse_common.events import STREAM_TELEMETRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from services.ingest_worker.tests.conftest import Device, Mosquitto

pytestmark = pytest.mark.timeout(180)

MESSAGES = 3000
NODES = ("node-a", "node-b", "node-c")
STRIKES = (200, 1600)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    """Yield a PostgreSQL of this module's own: it is killed here."""
    folder = Path(tempfile.mkdtemp(prefix="pulse-fault-"))
    folder.chmod(0o755)
    with running_postgres(folder) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def service(
    cluster: Postgres, nats_server: Nats, mosquitto: Mosquitto, tmp_path: Path
) -> Iterator[Service]:
    made = make_service(cluster, nats_server.url, mosquitto, tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def flow(service: Service, device: Device, cluster: Postgres) -> Flow:
    return Flow(device, cluster.superuser, MESSAGES)


def strike(flow: Flow, kill: Callable[[], None], start: Callable[[], None]) -> None:
    """Kill and start again while readings flow, twice."""
    flow.publishing.start()
    for progress in STRIKES:
        flow.wait_for(progress)
        kill()
        time.sleep(0.5)
        start()
    flow.settle()


def test_killed_service(flow: Flow, service: Service) -> None:
    strike(flow, service.kill, service.start)

    assert flow.rows() == Counter(range(MESSAGES))


def test_killed_service_raises_and_clears_each_alert_once(
    flow: Flow, service: Service, cluster: Postgres
) -> None:
    """Rules at every 30th number: whenever it dies, some are about to raise or to clear."""
    steps = range(0, MESSAGES, 30)
    with psycopg.connect(cluster.superuser) as connection:
        for direction in ("above", "below"):
            connection.cursor().executemany(
                "INSERT INTO alert_rules (tenant_id, rule_id, name, kind, metric, direction, raise_at,"
                " clear_at, created_at, watching_since)"
                " VALUES (%s, gen_random_uuid(), %s, 'threshold', 'number', %s, %s, %s, now(), now())",
                [
                    (flow.device.tenant_id, f"{direction} {at}", direction, at + 0.5, at + 0.5)
                    for at in steps
                ],
            )

    strike(flow, service.kill, service.start)
    until(lambda: told_of(flow, cluster)["alert.cleared"] >= len(steps), "the alerts cleared")

    assert told_of(flow, cluster) == {"alert.raised": 2 * len(steps), "alert.cleared": len(steps)}
    with psycopg.connect(cluster.superuser) as connection:
        still = connection.execute(
            "SELECT rule_name FROM alerts WHERE tenant_id = %s AND cleared_at IS NULL",
            [flow.device.tenant_id],
        ).fetchall()
    assert {name for (name,) in still} == {f"above {at}" for at in steps}


def told_of(flow: Flow, cluster: Postgres) -> Counter[str]:
    with psycopg.connect(cluster.superuser) as connection:
        rows = connection.execute(
            "SELECT subject FROM outbox WHERE tenant_id = %s", [flow.device.tenant_id]
        ).fetchall()
    return Counter(subject.removeprefix("pulse.events.") for (subject,) in rows)


def test_killed_postgresql(flow: Flow, cluster: Postgres) -> None:
    strike(flow, cluster.part.kill, cluster.part.start)

    assert flow.rows() == Counter(range(MESSAGES))


def test_killed_nats(flow: Flow, nats_server: Nats) -> None:
    strike(flow, nats_server.kill, nats_server.start)

    assert flow.rows() == Counter(range(MESSAGES))


def test_restarted_broker(flow: Flow, service: Service, mosquitto: Mosquitto) -> None:
    """Stopped in order: a killed mosquitto forgets what it has acknowledged, it writes its store now and then.

    The device comes back after the service: see ``Mosquitto``.
    """

    def stop() -> None:
        flow.device.may_connect.clear()
        mosquitto.stop()

    def start() -> None:
        before = times_subscribed(service)
        mosquitto.start()
        until(lambda: times_subscribed(service) > before, "the service to subscribe again")
        flow.device.may_connect.set()

    strike(flow, stop, start)

    assert flow.rows() == Counter(range(MESSAGES))


def times_subscribed(service: Service) -> int:
    return service.log.read_bytes().count(b'"mqtt_connected"')


def test_disk_that_is_full_under_the_stream(flow: Flow, nats_server: Nats) -> None:
    """NATS can write no more; what it does not take is not acknowledged, and waits for a NATS that can."""
    flow.publishing.start()
    flow.wait_for(STRIKES[0])
    assert nats_server.process is not None
    largest = max(each.stat().st_size for each in nats_server.store.rglob("*.blk"))
    resource.prlimit(nats_server.process.pid, resource.RLIMIT_FSIZE, (largest, largest))
    time.sleep(3)
    while_full = sum(flow.rows().values())
    nats_server.kill()
    nats_server.start()
    flow.settle()

    assert while_full < MESSAGES, "it was never full"
    assert flow.rows() == Counter(range(MESSAGES))


@pytest.fixture
def three_nodes(tmp_path: Path) -> Iterator[list[Nats]]:
    routes = [f"nats://127.0.0.1:{free_port()}" for _ in range(3)]
    nodes = [
        Nats(
            free_port(),
            tmp_path / name,
            arguments=(
                *("--name", name, "--cluster_name", "pulse", "--cluster", own),
                *("--routes", ",".join(routes)),
            ),
        )
        for name, own in zip(NODES, routes, strict=True)
    ]
    for node in nodes:
        node.start()
    yield nodes
    for node in nodes:
        node.kill()


def test_killed_leader_of_three_replicas(
    three_nodes: list[Nats],
    cluster: Postgres,
    mosquitto: Mosquitto,
    device: Device,
    tmp_path: Path,
) -> None:
    urls = ",".join(node.url for node in three_nodes)
    until(lambda: leads(urls, None) is not None, "a leader of the cluster")
    service = make_service(cluster, urls, mosquitto, tmp_path)
    service.environment["NATS_REPLICAS"] = "3"
    service.start()
    try:
        flow = Flow(device, cluster.superuser, MESSAGES)
        led: list[str] = []
        flow.publishing.start()
        for progress in STRIKES:
            flow.wait_for(progress)
            leader = leads(urls, STREAM_TELEMETRY)
            assert leader is not None
            led.append(leader)
            node = three_nodes[NODES.index(leader)]
            node.kill()
            until(lambda: leads(urls, STREAM_TELEMETRY) not in {None, led[-1]}, "another leader")
            node.start()
        flow.settle()
    finally:
        service.kill()

    assert flow.rows() == Counter(range(MESSAGES))


def leads(urls: str, stream: str | None) -> str | None:
    """Name the node that leads a stream, or anything at all; None while nobody does."""
    try:
        return asyncio.run(_ask_who_leads(urls, stream))
    except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError):
        return None


async def _ask_who_leads(urls: str, stream: str | None) -> str | None:
    connection = await nats.connect(
        urls.split(","), user="test", password=PASSWORD, allow_reconnect=False
    )
    try:
        jetstream = connection.jetstream(timeout=1)
        if stream is None:
            await jetstream.account_info()
            return ""
        info = await jetstream.stream_info(stream)
        assert info.config.num_replicas == len(NODES)
        return info.cluster.leader if info.cluster else None
    finally:
        await connection.close()
