"""Streams sealed rows to a SIEM: syslog (RFC 5424) over TLS with octet counting (RFC 5425), at least once, in order."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import TYPE_CHECKING

import structlog

from cert_worker.sealing import store
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pulse_common.tenancy import Database, Row

log = structlog.get_logger(__name__)

PLACE = "syslog"
BATCH = 20
EVERY_SECONDS = 1.0
SEND_SECONDS = 10.0
_LOG_AUDIT = 13 << 3
_SEVERITIES = {"success": 6, "failure": 5, "denied": 4}


def frame(row: Mapping[str, str | None]) -> bytes:
    """Write one row as a counted syslog message; its body is the row as JSON, its MSGID the action."""
    priority = _LOG_AUDIT + _SEVERITIES.get(row["outcome"] or "", 5)
    header = f"<{priority}>1 {row['at']} pulse {row['service']} - {(row['action'] or '-')[:32]}"
    # 32473 is the enterprise number that RFC 5612 keeps for documents; both values are UUIDs and need no escapes.
    data = f'[audit@32473 tenant="{row["tenant_id"]}" id="{row["audit_id"]}"]'
    body = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    message = f"{header} {data} \ufeff{body}".encode()
    return f"{len(message)} ".encode() + message


class Siem:
    """``ca_file`` verifies the receiver; the system's authorities do without it."""

    def __init__(self, database: Database, *, host: str, port: int, ca_file: Path | None) -> None:
        self._database = database
        self._host = host
        self._port = port
        self._context = ssl.create_default_context(cafile=ca_file)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2

    async def run(self) -> None:
        """Stream for ever; trouble of the database or the receiver is waited out."""
        while True:
            try:
                told = await self.tell_once()
            except Unavailable as error:
                log.warning("siem_waits", reason=error.message)
                told = 0
            if told < BATCH:
                await asyncio.sleep(EVERY_SECONDS)

    async def tell_once(self) -> int:
        """Send the rows of the next seals and return how many seals those were.

        Raises:
            Unavailable: the receiver or the database is away; what was sent may be sent again.
        """
        async with self._database.service_connection("pulse_seal") as tx:
            if not await store.take_lock(tx, PLACE):
                return 0
            seals = await store.heads_after(tx, await store.cursor(tx, PLACE), BATCH)
            if not seals:
                return 0
            rows = [row for seal in seals for row in await store.rows_of(tx, seal)]
            await self._send(rows)
            await store.move_cursor(tx, PLACE, seals[-1]["seal_id"])
        return len(seals)

    async def _send(self, rows: Sequence[Row]) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                _, writer = await asyncio.open_connection(self._host, self._port, ssl=self._context)
                try:
                    for row in rows:
                        writer.write(frame(row))
                        await writer.drain()
                finally:
                    writer.close()
                    await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            raise Unavailable("the SIEM is away") from error
