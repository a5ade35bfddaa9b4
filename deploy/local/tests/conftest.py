"""What the embedded stack's tests share: a folder that PostgreSQL's own user can pass through, and a real edge."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deploy.local.tests.edge_process import RunningEdge, running_edge
from deploy.local.tests.upstreams import Seens, serve_upstreams

from pulse_local.ports import find_free_base, ports_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.local.tests.edge_client import Edge

    from pulse_local.ports import Ports

UPSTREAMS = ("ui_iot", "provision_api", "cert_worker", "mqtt_authz", "billing_webhooks", "idp")


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: its parent belongs to pytest, which closes it to other users again and again.
    path = Path(tempfile.mkdtemp(prefix="pulse-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def ports() -> Ports:
    return ports_from(find_free_base())


@pytest.fixture
def repository() -> Path:
    return Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def running() -> Iterator[RunningEdge]:
    """Yield one Caddy for a whole file of tests, impatient with slow clients."""
    patience = {"EDGE_READ_HEADER": "1s", "EDGE_READ_BODY": "2s", "EDGE_IDLE": "1s"}
    with running_edge(ports_from(find_free_base()), patience) as edge:
        yield edge


@pytest.fixture(scope="module")
def upstreams(running: RunningEdge) -> Iterator[Seens]:
    numbers = running.ports.by_part()
    with serve_upstreams({name: numbers[name] for name in UPSTREAMS}) as seens:
        yield seens


@pytest.fixture
def edge(running: RunningEdge) -> Edge:
    return running.edge


@pytest.fixture
def seen(upstreams: Seens) -> Seens:
    upstreams.requests.clear()
    return upstreams
