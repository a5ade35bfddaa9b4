"""The live view: what happens on the bus, handed to the browsers of the one tenant that it belongs to.

One subscription a tenant, however many browsers watch.  A slow browser loses its oldest messages, not its neighbours',
and is told how many.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter, Gauge
from pydantic import ValidationError

from pulse_common import events
from ui_iot.domain import LIVE_FOR

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.identity import TenantId
    from ui_iot.domain import Status

log = structlog.get_logger(__name__)

QUEUE_LENGTH = 256
SWEEP_SECONDS = 2.0
WATCHERS = Gauge("pulse_live_watchers", "Browsers that watch live")
DROPPED = Counter("pulse_live_dropped_total", "Live messages dropped because a browser was slow")

LiveMessage = dict[str, object]

_Told = events.DeviceCreated | events.CertificateRevoked | events.SessionCut

_STATUS_OF: dict[str, tuple[type[_Told], Status]] = {
    events.DeviceCreated.subject: (events.DeviceCreated, "never"),
    events.CertificateRevoked.subject: (events.CertificateRevoked, "cut_off"),
    events.SessionCut.subject: (events.SessionCut, "cut_off"),
}


@dataclass(eq=False)
class Watcher:
    """One browser: which devices it wants (None: all of its tenant's) and what waits for it."""

    tenant: TenantId
    devices: frozenset[UUID] | None = frozenset()
    _waiting: deque[str] = field(default_factory=lambda: deque(maxlen=QUEUE_LENGTH))
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _dropped: int = 0

    def offer(self, device_id: UUID, text: str) -> None:
        if self.devices is not None and device_id not in self.devices:
            return
        if len(self._waiting) == QUEUE_LENGTH:
            self._dropped += 1
            DROPPED.inc()
        self._waiting.append(text)
        self._arrived.set()

    async def next(self) -> str:
        """Wait for the next message; how many were dropped comes before what is left."""
        await self._arrived.wait()
        if self._dropped:
            text = json.dumps({"type": "dropped", "count": self._dropped})
            self._dropped = 0
            return text
        text = self._waiting.popleft()
        if not self._waiting:
            self._arrived.clear()
        return text


@dataclass
class _Audience:
    """The watchers of one tenant, when each of its devices was last heard, and which have been cut off."""

    stop: Callable[[], Awaitable[None]]
    watchers: set[Watcher] = field(default_factory=set)
    heard: dict[UUID, float] = field(default_factory=dict)
    cut_off: set[UUID] = field(default_factory=set)

    def tell(self, device_id: UUID, message: LiveMessage) -> None:
        text = json.dumps(message)  # once, however many watch
        for watcher in self.watchers:
            watcher.offer(device_id, text)


class Hub:
    """Connects the bus with the watchers of this process."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._audiences: dict[UUID, _Audience] = {}
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Listen to what happens to devices; events of JetStream reach plain subscribers too."""
        for subject in _STATUS_OF:
            await self._bus.subscribe_live(subject, self._on_event)
        await self._bus.subscribe_live(events.DeviceEnrolled.subject, self._on_enrolled)

    async def join(self, watcher: Watcher) -> None:
        async with self._lock:
            audience = self._audiences.get(watcher.tenant)
            if audience is None:
                subject = events.live_subject(watcher.tenant)
                stop = await self._bus.subscribe_live(subject, self._on_reading)
                audience = self._audiences[watcher.tenant] = _Audience(stop)
            audience.watchers.add(watcher)
        WATCHERS.inc()

    async def leave(self, watcher: Watcher) -> None:
        WATCHERS.dec()
        async with self._lock:
            audience = self._audiences[watcher.tenant]
            audience.watchers.discard(watcher)
            if audience.watchers:
                return
            del self._audiences[watcher.tenant]
            await audience.stop()

    async def sweep(self) -> None:
        """Tell of devices that have fallen silent, for ever."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.tell_silent()

    def tell_silent(self) -> None:
        silent_since = self._clock().timestamp() - LIVE_FOR.total_seconds()
        for audience in self._audiences.values():
            silent = [d for d, heard in audience.heard.items() if heard < silent_since]
            for device_id in silent:
                del audience.heard[device_id]
                audience.tell(device_id, _status(device_id, "offline"))

    async def _on_reading(self, subject: str, data: bytes) -> None:
        try:
            reading = events.Reading.model_validate_json(data)
        except ValidationError:
            log.warning("live_message_unreadable", subject=subject)
            return
        # The subject was authorised by the bus; the payload's own word must agree with it.
        if subject != events.live_subject(reading.tenant_id):
            log.warning("live_message_of_another_tenant", subject=subject)
            return
        audience = self._audiences.get(reading.tenant_id)
        if audience is None:
            return
        self._hear(audience, reading)
        audience.tell(
            reading.device_id,
            {
                "type": "telemetry",
                "device_id": str(reading.device_id),
                "ts": int(reading.ts.timestamp() * 1000),
                "metrics": reading.metrics,
            },
        )

    def _hear(self, audience: _Audience, reading: events.Reading) -> None:
        if reading.device_id in audience.cut_off:
            return  # sent before the cut, come after it: no sign of life
        if reading.device_id not in audience.heard:
            seen_at = reading.received_at.isoformat()
            message = {**_status(reading.device_id, "live"), "last_seen_at": seen_at}
            audience.tell(reading.device_id, message)
        audience.heard[reading.device_id] = self._clock().timestamp()

    async def _on_enrolled(self, subject: str, data: bytes) -> None:
        """A device that was cut off has a new certificate: its next reading counts again."""
        try:
            event = events.DeviceEnrolled.model_validate_json(data)
        except ValidationError:
            log.warning("event_unreadable", subject=subject)
            return
        audience = self._audiences.get(event.tenant_id)
        if audience is not None:
            audience.cut_off.discard(event.device_id)

    async def _on_event(self, subject: str, data: bytes) -> None:
        kind, status = _STATUS_OF[subject]
        try:
            event = kind.model_validate_json(data)
        except ValidationError:
            log.warning("event_unreadable", subject=subject)
            return
        audience = self._audiences.get(event.tenant_id)
        if audience is None:
            return
        if isinstance(event, events.CertificateRevoked):
            audience.cut_off.add(event.device_id)
        audience.heard.pop(event.device_id, None)
        audience.tell(event.device_id, _status(event.device_id, status))


def _status(device_id: UUID, status: Status) -> LiveMessage:
    return {"type": "device", "device_id": str(device_id), "status": status}
