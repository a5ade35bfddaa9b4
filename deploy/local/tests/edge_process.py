"""deploy/caddy/Caddyfile in a real Caddy, with this machine's ports, certificates and nothing behind it yet."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.tests.edge_client import Edge

from pulse_local.caddy import caddy_command
from pulse_local.environments import Environments
from pulse_local.leftovers import Registry
from pulse_local.processes import Part
from pulse_local.secrets import load_or_create_secrets
from pulse_local.tls import ensure_tls_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pulse_local.ports import Ports

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, kw_only=True)
class RunningEdge:
    edge: Edge
    ports: Ports
    log: Path


@contextmanager
def running_edge(ports: Ports, settings: Mapping[str, str]) -> Iterator[RunningEdge]:
    """Run Caddy with the embedded stack's environment and `settings` over it."""
    folder = Path(tempfile.mkdtemp(prefix="pulse-test-"))
    tls = ensure_tls_files(folder / "tls", datetime.fromtimestamp(time.time(), UTC))
    environments = Environments(
        ports=ports, secrets=load_or_create_secrets(folder / "secrets.json"), tls=tls, data=folder
    )
    environments.trust_store.parent.mkdir()
    shutil.copyfile(tls.ca, environments.trust_store)  # it only tells clients which CAs are known
    command = caddy_command(
        repository=ROOT,
        ports=ports,
        storage=folder / "caddy",
        environment={**environments.of_caddy(), **settings},
    )
    part = Part(command, logs=folder / "logs", registry=Registry(folder / "run" / "parts.json"))
    part.start()
    try:
        host = f"localhost:{ports.edge_https}"
        edge = Edge(port=ports.edge_https, ca=tls.ca, host=host)
        yield RunningEdge(edge=edge, ports=ports, log=part.log)
    finally:
        part.stop()
        shutil.rmtree(folder)
