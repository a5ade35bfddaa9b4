"""Where readings come from: this machine every few seconds, or lines of JSON on stdin."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

import psutil

from pulse_device.lines import lines_of
from pulse_device.outbox import Outbox, Outgoing
from pulse_device.readings import LONGEST_LINE, Reading, ReadingError, encode_reading, parse_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pulse_device.journal import Journal
    from pulse_device.sampling import Sampler


class Source(Protocol):
    def run(self, stopping: threading.Event) -> None:
        """Fill the outbox until the source ends or `stopping` is set."""


class MachineSource:
    def __init__(
        self,
        *,
        sampler: Sampler,
        interval_seconds: float,
        topic: str,
        outbox: Outbox,
        journal: Journal,
        clock: Callable[[], datetime],
    ) -> None:
        self._sampler = sampler
        self._interval_seconds = interval_seconds
        self._topic = topic
        self._outbox = outbox
        self._journal = journal
        self._clock = clock

    def run(self, stopping: threading.Event) -> None:
        due = time.monotonic() + self._interval_seconds
        while not stopping.wait(max(0.0, due - time.monotonic())):
            try:
                reading = Reading(at=self._clock(), metrics=self._sampler.sample())
            except (psutil.Error, OSError) as error:
                self._journal.warning("sample_failed", reason=error)
            else:
                self._outbox.put_or_drop(Outgoing(self._topic, encode_reading(reading)))
            # After a suspended night one reading is due, not ten thousand.
            due = max(due + self._interval_seconds, time.monotonic())


class LineSource:
    """`put` is the outbox's rule for this input: paced for a pipe, when there is room for a file."""

    def __init__(
        self,
        *,
        read: Callable[[int], bytes | None],
        put: Callable[[Outgoing], None],
        topic: str,
        journal: Journal,
        clock: Callable[[], datetime],
    ) -> None:
        self._read = read
        self._put = put
        self._topic = topic
        self._journal = journal
        self._clock = clock

    def run(self, stopping: threading.Event) -> None:
        lines = lines_of(self._read, longest=LONGEST_LINE)
        for number, line in enumerate(lines, start=1):
            if stopping.is_set():
                return
            if line is not None and not line.strip():
                continue
            try:
                reading = self._parse(line)
            except ReadingError as error:
                self._journal.warning("line_refused", line=number, reason=error)
            else:
                self._put(Outgoing(self._topic, encode_reading(reading)))

    def _parse(self, line: bytes | None) -> Reading:
        if line is None:
            raise ReadingError("it is too long")
        return parse_line(line, now=self._clock())


class SourceThread:
    """Runs a source beside the connection and says when, and how, it ended."""

    def __init__(self, source: Source, outbox: Outbox) -> None:
        self._source = source
        self._outbox = outbox
        self._stopping = threading.Event()
        # A daemon, because a read from a terminal cannot be interrupted.
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)
        self._failure: Exception | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._outbox.stop()
        self._thread.join(timeout=0.2)

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._source.run(self._stopping)
        except Exception as error:  # noqa: BLE001 - handed to the main thread, which raises it
            self._failure = error
        finally:
            self._outbox.finish()
