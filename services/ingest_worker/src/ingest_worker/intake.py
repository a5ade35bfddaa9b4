"""Messages of one MQTT connection: worked on side by side, acknowledged in the order in which they came.

MQTT wants the PUBACKs in the order of the PUBLISHes (MQTT-4.6.0-2, in 3.1.1 and 5).  A message is settled when the work
on it has returned, which is when JetStream has it; its PUBACK goes out once all before it are settled too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from ingest_worker import metrics
from ingest_worker.domain import Inbound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ingest_worker.broker import Packet
    from pulse_common.clock import Clock

log = structlog.get_logger(__name__)

MOST_IN_FLIGHT = 1000
"""The broker stops before (receive maximum 500 in MQTT 5); this bound is for brokers that know none, and for QoS 0."""


class Line(Protocol):
    """The connection, as far as messages that came over it need it."""

    def acknowledge(self, packet_id: int) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Entry:
    packet_id: int
    content: int
    settled: bool = False
    superseded: bool = False


class Intake:
    """Lives as long as one connection: packet ids mean nothing beyond it."""

    def __init__(
        self, line: Line, process: Callable[[Inbound], Awaitable[None]], clock: Clock
    ) -> None:
        self._line = line
        self._process = process
        self._clock = clock
        self._order: deque[_Entry] = deque()
        self._open: dict[int, _Entry] = {}
        self._acknowledged: dict[int, int] = {}
        self._tasks: set[asyncio.Future[None]] = set()
        self._paused = False
        self._draining = False
        self._ended = False

    def take(self, packet: Packet) -> None:
        """Begin the work on one packet, unless it repeats one that this connection has brought before."""
        if self._ended:
            return
        metrics.RECEIVED.inc()
        if packet.qos == 0:
            self._take_unacknowledged(packet)
            return
        content = hash((packet.topic, packet.payload))
        if packet.dup and self._repeats(packet.packet_id, content):
            return
        older = self._open.pop(packet.packet_id, None)
        if older is not None:
            # The broker has freed this id and given it to another message: an acknowledgement
            # of the older one would be taken for the newer, which is not stored yet.
            older.superseded = True
        entry = _Entry(packet.packet_id, content)
        self._open[packet.packet_id] = entry
        self._order.append(entry)
        self._begin(packet, entry)
        if len(self._tasks) >= MOST_IN_FLIGHT and not self._paused:
            self._paused = True
            self._line.pause()

    def end(self) -> None:
        """The connection is over: nothing can be acknowledged, and the broker sends it all again."""
        self._ended = True
        for task in self._tasks:
            task.cancel()

    async def drain(self, seconds: float) -> None:
        """Take nothing more, and wait until what was taken is settled."""
        self._draining = True
        self._line.pause()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
            await asyncio.sleep(0)  # the callbacks that acknowledge run after the tasks

    def _take_unacknowledged(self, packet: Packet) -> None:
        """QoS 0 knows no back-pressure and promises nothing: over the bound it is dropped, and never in others' way."""
        if len(self._tasks) >= MOST_IN_FLIGHT:
            metrics.DROPPED.inc()
            return
        self._begin(packet, None)

    def _repeats(self, packet_id: int, content: int) -> bool:
        """Tell whether a DUP on this connection is one that we have: in work, or acknowledged already.

        Some brokers send again after a while without waiting for a reconnect.  When that crosses with our PUBACK, a
        second PUBACK could hit the next message under the same id; the first one suffices, as TCP loses nothing.
        """
        working = self._open.get(packet_id)
        if working is not None:
            return working.content == content
        return self._acknowledged.get(packet_id) == content

    def _begin(self, packet: Packet, entry: _Entry | None) -> None:
        message = Inbound(packet.topic, packet.payload, self._clock())
        task = asyncio.ensure_future(self._process(message))
        self._tasks.add(task)
        metrics.IN_FLIGHT.inc()
        task.add_done_callback(lambda done: self._finished(done, entry))

    def _finished(self, task: asyncio.Future[None], entry: _Entry | None) -> None:
        self._tasks.discard(task)
        metrics.IN_FLIGHT.dec()
        if task.cancelled() or self._ended:
            return
        error = task.exception()
        if error is not None:
            # A bug: the work may not give up.  Unacknowledged, the message comes again after a reconnect.
            log.error("intake_work_crashed", exc_info=error)
            return
        if entry is not None:
            entry.settled = True
            self._acknowledge_in_order()
        if self._paused and not self._draining and len(self._tasks) <= MOST_IN_FLIGHT // 2:
            self._paused = False
            self._line.resume()

    def _acknowledge_in_order(self) -> None:
        while self._order and self._order[0].settled:
            entry = self._order.popleft()
            if entry.superseded:
                continue
            del self._open[entry.packet_id]
            self._acknowledged[entry.packet_id] = entry.content
            self._line.acknowledge(entry.packet_id)
