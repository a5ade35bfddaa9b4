"""Tells heads to places that the database's administrators cannot write: a JetStream stream, and a file.

A cursor in the database says how far each place is; a crash between telling and moving it tells again, which changes
nothing: a head is the same head however often it is told.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Protocol

import structlog

from cert_worker.sealing import store
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, Row

log = structlog.get_logger(__name__)

BATCH = 500
EVERY_SECONDS = 1.0
SUBJECT = "pulse.audit.heads"


class Place(Protocol):
    @property
    def name(self) -> str: ...

    async def tell(self, heads: Sequence[Row]) -> None:
        """Keep all of ``heads`` (``tenant_id``, ``tree_size``, ``note``), or raise ``Unavailable``."""
        ...


class StreamPlace:
    """The stream AUDIT_HEADS, one subject a tenant."""

    name = "jetstream"

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def tell(self, heads: Sequence[Row]) -> None:
        for head in heads:
            await self._bus.publish_stored(
                f"{SUBJECT}.{head['tenant_id']}",
                head["note"].encode(),
                message_id=f"{head['tenant_id']}-{head['tree_size']}",
            )


class FilePlace:
    """JSON lines in one file a month, synced to the disk before the cursor moves."""

    name = "file"

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    async def tell(self, heads: Sequence[Row]) -> None:
        lines = [
            json.dumps({"tenant_id": head["tenant_id"], "note": head["note"]}, ensure_ascii=False)
            for head in heads
        ]
        try:
            await asyncio.to_thread(self._append, "".join(f"{line}\n" for line in lines))
        except OSError as error:
            raise Unavailable("the folder of audit heads cannot be written") from error

    def _append(self, text: str) -> None:
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        path = self._folder / f"heads-{self._clock():%Y%m}.jsonl"
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


class Teller:
    """Brings every head to one place, in the order of sealing."""

    def __init__(self, database: Database, place: Place) -> None:
        self._database = database
        self._place = place

    async def run(self) -> None:
        """Tell for ever; trouble is waited out."""
        while True:
            try:
                told = await self.tell_once()
            except Unavailable as error:
                log.warning("audit_heads_wait", place=self._place.name, reason=error.message)
                told = 0
            if told < BATCH:
                await asyncio.sleep(EVERY_SECONDS)

    async def tell_once(self) -> int:
        """Tell what is new and return how many heads that were.

        Raises:
            Unavailable: the place or the database is away; nothing is lost.
        """
        place = self._place.name
        async with self._database.service_connection("pulse_seal") as tx:
            if not await store.take_lock(tx, f"heads.{place}"):
                return 0
            heads = await store.heads_after(tx, await store.cursor(tx, place), BATCH)
            if heads:
                await self._place.tell(heads)
                await store.move_cursor(tx, place, heads[-1]["seal_id"])
        return len(heads)
