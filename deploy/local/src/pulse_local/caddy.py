"""The embedded edge: deploy/caddy/Caddyfile, as in production, on this machine's ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_local.binaries import find_binary
from pulse_local.processes import Command
from pulse_local.readiness import accepts_tcp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pulse_local.ports import Ports


def caddy_command(
    *, repository: Path, ports: Ports, storage: Path, environment: Mapping[str, str]
) -> Command:
    """Say how Caddy is started; `storage` is where it keeps its own state."""
    storage.mkdir(mode=0o700, parents=True, exist_ok=True)
    caddyfile = repository / "deploy/caddy/Caddyfile"
    return Command(
        name="caddy",
        arguments=(
            find_binary("caddy"),
            "run",
            "--config",
            str(caddyfile),
            "--adapter",
            "caddyfile",
        ),
        environment=environment,
        ready=accepts_tcp(ports.edge_https, ports.edge_http),
    )
