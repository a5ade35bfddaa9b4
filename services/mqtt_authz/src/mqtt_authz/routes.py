"""The whole HTTP surface of this service, on one screen.  Caddy hides ``/api/v1/internal`` from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mqtt_authz.secrets import BROKER
from pulse_common import health
from pulse_common.http import Endpoint, Guarded

if TYPE_CHECKING:
    from mqtt_authz.handlers import Gate
    from pulse_common.health import Readiness

ONLY_THE_BROKER = frozenset({BROKER})


def endpoints(gate: Gate, readiness: Readiness) -> list[Endpoint]:
    return [
        Guarded(
            method="POST",
            path="/api/v1/internal/mqtt-auth",
            roles=ONLY_THE_BROKER,
            handler=gate.connect,
        ),
        Guarded(
            method="POST",
            path="/api/v1/internal/mqtt-acl",
            roles=ONLY_THE_BROKER,
            handler=gate.act,
        ),
        Guarded(
            method="POST",
            path="/api/v1/internal/mqtt-denied",
            roles=ONLY_THE_BROKER,
            handler=gate.denied,
        ),
        # Last: routes are tried in order, and the broker's come by the thousand.
        *health.endpoints(readiness),
    ]
