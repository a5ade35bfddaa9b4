"""The embedded NATS server: deploy/nats/nats.conf, as in production, on this machine's ports.

What `sync_interval: always` costs, measured on 2 cores with a virtual disk and 200-byte messages:
1,600 to 2,000 acknowledged messages/s one at a time and 3,500 to 5,100/s with 100 in flight, against
4,400/s and 34,000 to 40,000/s at the server's own two minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_local.binaries import find_binary
from pulse_local.processes import Command
from pulse_local.readiness import answers_http

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pulse_local.ports import Ports


def nats_command(
    *, repository: Path, ports: Ports, store: Path, environment: Mapping[str, str]
) -> Command:
    """Say how the server is started; streams are kept as files in `store`."""
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Command(
        name="nats",
        arguments=(find_binary("nats-server"), "-c", str(repository / "deploy/nats/nats.conf")),
        environment=environment,
        ready=answers_http(ports.nats_monitor, "/healthz"),
    )
