"""Measure this machine: processor, memory, disk and network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulse_device.readings import Metric

BITS_PER_KILOBYTE = 8 / 1000


class Sampler:
    """Rates are averages since the previous sample, so the first one is taken on creation."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._at = monotonic()
        self._received, self._sent = _network_bytes()
        psutil.cpu_percent(interval=None)

    def sample(self) -> dict[str, Metric]:
        """Return the metrics; raises psutil.Error or OSError when the system does not tell."""
        now = self._monotonic()
        received, sent = _network_bytes()
        elapsed = max(now - self._at, 0.001)
        metrics: dict[str, Metric] = {
            "cpu_percent": psutil.cpu_percent(interval=None),
            "load_1m": round(psutil.getloadavg()[0], 2),
            "memory_percent": psutil.virtual_memory().percent,
            "disk_percent": psutil.disk_usage("/").percent,
            "network_received_kbps": _kilobits(received - self._received, elapsed),
            "network_sent_kbps": _kilobits(sent - self._sent, elapsed),
        }
        self._at, self._received, self._sent = now, received, sent
        return metrics


def _network_bytes() -> tuple[int, int]:
    # By interface, as the sum over none of them would be None instead of zero.
    counters = psutil.net_io_counters(pernic=True).values()
    return sum(each.bytes_recv for each in counters), sum(each.bytes_sent for each in counters)


def _kilobits(count: int, seconds: float) -> float:
    # Counters start again when an interface is replaced.
    return round(max(count, 0) * BITS_PER_KILOBYTE / seconds, 3)
