"""A tenant's archive: a tar of gzipped JSON lines, and a manifest of counts and hashes as its last file.

Without the manifest an archive is not whole, and says so by lacking it.  Nothing larger than a part is ever in memory,
and each part is a transaction of its own: a slow reader holds none open.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ui_iot import tar_stream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.clock import Clock
    from ui_iot.archive_store import Page
    from ui_iot.archive_table import Table

FORMAT = "pulse-tenant-archive/1"
MEDIA_TYPE = "application/x-tar"
SEALED = "audit_sealed"
PART_BYTES = 4 * 1024 * 1024

Read = Callable[["Table", tuple[Any, ...] | None], Awaitable["Page"]]
"""Reads a page of a table after a key, in a transaction of its own."""


@dataclass(slots=True)
class Sums:
    """Of one table: ``sha256`` is of its parts' lines, one after the other, unpacked."""

    rows: int = 0
    parts: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def shown(self) -> dict[str, object]:
        return {"rows": self.rows, "parts": self.parts, "sha256": self.sha256.hexdigest()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One making of it.  ``about`` goes into the manifest; ``sealed`` are the lines of the sealed audit log, if any."""

    tenant: UUID
    tables: Sequence[Table]
    read: Read
    clock: Clock
    about: dict[str, object]
    sealed: Callable[[], AsyncIterator[str]] | None = None
    sums: dict[str, Sums] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(sums.rows for sums in self.sums.values())

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield everything but the end of the file, which ``finish`` gives once the work is noted."""
        began = self.clock()
        for table in self.tables:
            async for part in self._table(table, began):
                yield part
        if self.sealed:
            async for part in self._lines(SEALED, self.sealed(), began):
                yield part

    def finish(self) -> bytes:
        now = self.clock()
        manifest = {
            "format": FORMAT,
            "tenant_id": str(self.tenant),
            "finished_at": now.isoformat(),
            **self.about,
            "tables": {name: sums.shown() for name, sums in self.sums.items()},
        }
        content = json.dumps(manifest, ensure_ascii=False, indent=2, default=str).encode()
        return tar_stream.member("manifest.json", content, now) + tar_stream.END

    async def _table(self, table: Table, began: datetime) -> AsyncIterator[bytes]:
        self.sums[table.name] = Sums()
        after: tuple[Any, ...] | None = None
        while True:
            page = await self.read(table, after)
            if page.lines:
                lines = "".join(f"{line}\n" for line in page.lines)
                yield await self._part(table.name, lines, len(page.lines), began)
            if page.after is None:
                return
            after = page.after

    async def _lines(
        self, name: str, lines: AsyncIterator[str], began: datetime
    ) -> AsyncIterator[bytes]:
        self.sums[name] = Sums()
        gathered: list[str] = []
        size = 0
        async for line in lines:
            gathered.append(line)
            size += len(line)
            if size >= PART_BYTES:
                yield await self._part(name, "".join(gathered), len(gathered), began)
                gathered, size = [], 0
        if gathered:
            yield await self._part(name, "".join(gathered), len(gathered), began)

    async def _part(self, name: str, lines: str, rows: int, began: datetime) -> bytes:
        sums, content = self.sums[name], lines.encode()
        sums.rows += rows
        sums.parts += 1
        sums.sha256.update(content)
        # In a thread: four megabytes keep a processor busy for longer than others should wait.
        packed = await asyncio.to_thread(gzip.compress, content, 6, mtime=0)
        return tar_stream.member(f"{name}/{sums.parts:06}.jsonl.gz", packed, began)
