"""The whole HTTP surface of this service: nothing but the probes that every service answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_common import health

if TYPE_CHECKING:
    from pulse_common.http import Endpoint


def endpoints(readiness: health.Readiness) -> list[Endpoint]:
    return health.endpoints(readiness)
