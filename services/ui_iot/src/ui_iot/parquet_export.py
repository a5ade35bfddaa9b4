"""Readings as an Apache Parquet file, made and sent page by page: one row group is held, however long it is.

The writer is a library that pulls pages and pushes bytes, so it runs in a thread of its own.  Few may run at a time,
and one whose reader takes nothing for a while is ended: a slow client costs others nothing.
"""

from __future__ import annotations

import asyncio
import io
import threading
from typing import IO, TYPE_CHECKING, cast

from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
from arro3.io import write_parquet

from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
    from datetime import datetime

    from typing_extensions import Buffer

    from pulse_common.tenancy import Row

ROWS_A_GROUP = 50_000
PART_BYTES = 128 * 1024
MOST_PARTS = 4
MOST_AT_ONCE = 4
SLOWEST_SECONDS = 30.0
_SEATS = threading.BoundedSemaphore(MOST_AT_ONCE)
_TIME = DataType.timestamp("us", tz="UTC")
_NAME = DataType.dictionary(DataType.int32(), DataType.utf8())
SCHEMA = Schema(
    [
        Field("ts", _TIME, nullable=False),
        Field("received_at", _TIME, nullable=False),
        Field("metric", _NAME, nullable=False),
        Field("number", DataType.float64(), nullable=True),
        Field("flag", DataType.bool(), nullable=True),
        Field("text", DataType.utf8(), nullable=True),
    ]
)
"""One row a value, which is in the column of its type."""


async def stream(pages: AsyncIterator[Sequence[Row]]) -> AsyncGenerator[bytes]:
    """Yield the file's bytes as they come.

    Raises:
        Unavailable: as many files are being made as may be, the database went away, or the reader is too slow.
    """
    if not _SEATS.acquire(blocking=False):
        raise Unavailable("as many Parquet files are being made as may be: try again soon")
    pipe = _Pipe(pages, asyncio.get_running_loop())
    thread = threading.Thread(target=pipe.run, name="parquet", daemon=True)
    thread.start()
    try:
        while (part := await pipe.parts.get()) is not None:
            yield part
        if pipe.trouble is not None:
            raise pipe.trouble
    finally:
        pipe.stop()


class _Pipe(io.RawIOBase):
    """What the writer in the thread takes from, and writes to."""

    def __init__(
        self, pages: AsyncIterator[Sequence[Row]], loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__()
        self._pages = pages
        self._loop = loop
        self._held = bytearray()
        self._stopped = False
        self.parts: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_PARTS)
        self.trouble: Unavailable | None = None

    def run(self) -> None:
        """Write the file, in the thread."""
        try:
            batches = RecordBatchReader.from_batches(SCHEMA, self._batches())
            sink = cast("IO[bytes]", self)
            write_parquet(batches, sink, max_row_group_size=ROWS_A_GROUP, compression="zstd(3)")
            self._push(bytes(self._held))
        except Exception as error:  # noqa: BLE001 -- whatever it was, the file is not whole
            self.trouble = Unavailable(f"the file could not be made: {type(error).__name__}")
        finally:
            _SEATS.release()
            self._push(None)

    def stop(self) -> None:
        """End the thread soon: it finds no more pages, and what it writes goes nowhere."""
        self._stopped = True
        while not self.parts.empty():
            self.parts.get_nowait()

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        self._held += memoryview(data)
        if len(self._held) >= PART_BYTES:
            part, self._held = bytes(self._held), bytearray()
            self._push(part)
        return memoryview(data).nbytes

    def _batches(self) -> Iterator[RecordBatch]:
        while not self._stopped:
            page = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            if not page:
                return
            yield _batch(page)

    async def _next(self) -> Sequence[Row]:
        async for page in self._pages:
            return page
        return ()

    def _push(self, part: bytes | None) -> None:
        # Raising here would be a panic in the writer.
        if not self._stopped and not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._put(part), self._loop).result()

    async def _put(self, part: bytes | None) -> None:
        try:
            async with asyncio.timeout(SLOWEST_SECONDS):
                await self.parts.put(part)
        except TimeoutError:
            self.trouble = Unavailable("the file was not taken")
            self.stop()
            self.parts.put_nowait(None)


def _batch(rows: Sequence[Row]) -> RecordBatch:
    values = [
        (_micros(row["ts"]), _micros(row["received_at"]), name, value)
        for row in rows
        for name, value in row["metrics"].items()
    ]
    columns = [
        Array([ts for ts, _, _, _ in values], DataType.int64()).cast(_TIME),
        Array([received for _, received, _, _ in values], DataType.int64()).cast(_TIME),
        Array([name for _, _, name, _ in values], DataType.utf8()).cast(_NAME),
        Array([_number(value) for *_, value in values], DataType.float64()),
        Array([v if isinstance(v, bool) else None for *_, v in values], DataType.bool()),
        Array([v if isinstance(v, str) else None for *_, v in values], DataType.utf8()),
    ]
    return RecordBatch.from_arrays(columns, schema=SCHEMA)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _micros(at: datetime) -> int:
    # In whole numbers: a float of seconds loses the last digit.
    return int(at.timestamp()) * 1_000_000 + at.microsecond
