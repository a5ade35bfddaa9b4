"""Which port each part listens on, counted from one base so that stacks run side by side."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass, fields

DEFAULT_BASE = 8400
LOWEST_BASE = 1024
HIGHEST_BASE = 65_435
_LOOPBACK = "127.0.0.1"


class PortsTakenError(Exception):
    """Somebody else listens where a part would; the message says where and what to do."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """One port a part; the field's name is what the part is called in messages."""

    base: int
    edge_https: int
    edge_http: int
    mqtts: int
    mqtts_token: int
    mqtt_internal: int
    broker_api: int
    postgres: int
    nats: int
    nats_monitor: int
    idp: int
    smtp: int
    ui_iot: int
    provision_api: int
    cert_worker: int
    mqtt_authz: int
    billing_webhooks: int
    ingest_worker: int
    delivery_worker: int

    def by_part(self) -> dict[str, int]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "base"}


def ports_from(base: int) -> Ports:
    """Count every port from `base`; raises ValueError where the highest one would not exist."""
    if not LOWEST_BASE <= base <= HIGHEST_BASE:
        raise ValueError(
            f"PULSE_PORT_BASE is {base}; it must be between {LOWEST_BASE} and {HIGHEST_BASE} "
            "(the stack uses the hundred ports from there)."
        )
    return Ports(
        base=base,
        edge_https=base + 43,
        edge_http=base + 80,
        mqtts=base + 83,
        mqtts_token=base + 84,
        mqtt_internal=base + 18,
        broker_api=base + 85,
        postgres=base + 32,
        nats=base + 22,
        nats_monitor=base + 23,
        idp=base + 81,
        smtp=base + 25,
        ui_iot=base + 10,
        provision_api=base + 11,
        cert_worker=base + 12,
        mqtt_authz=base + 13,
        billing_webhooks=base + 14,
        ingest_worker=base + 15,
        delivery_worker=base + 16,
    )


def refuse_taken_ports(ports: Ports) -> None:
    """Raise one PortsTakenError that names every port of the stack that is in use."""
    taken = [(part, port) for part, port in ports.by_part().items() if not _is_free(port)]
    if not taken:
        return
    lines = "\n".join(f"  port {port} (wanted by {part})" for part, port in taken)
    raise PortsTakenError(
        f"These ports are in use already:\n{lines}\n"
        "Stop whatever listens there (another `make run`?), or move this stack to other ports:\n"
        f"  PULSE_PORT_BASE={_another_base(ports.base)} make run"
    )


def find_free_base() -> int:
    """Pick a random base with all its ports free: for tests, beside whatever else runs.

    The range ends below Linux's and macOS's ephemeral ports: no outgoing connection sits there.
    """
    for _ in range(200):
        base = 10_000 + 100 * secrets.randbelow(220)
        if all(_is_free(port) for port in ports_from(base).by_part().values()):
            return base
    raise PortsTakenError("No hundred ports between 10000 and 32000 are free.")


def _another_base(base: int) -> int:
    for candidate in range(9400, 32_000, 100):
        if candidate == base:
            continue
        if all(_is_free(port) for port in ports_from(candidate).by_part().values()):
            return candidate
    return 20_000


def _is_free(port: int) -> bool:
    # A connection first: on macOS binding beside a listener on the wildcard address succeeds.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        if probe.connect_ex((_LOOPBACK, port)) == 0:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without it, closed connections in TIME_WAIT would forbid a quick second run.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError:
            return False
    return True
