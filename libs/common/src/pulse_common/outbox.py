"""Events that leave exactly when their change is committed.

``emit`` writes the event in the caller's transaction; a ``Relay`` of the same service publishes it afterwards with
the event's id as ``Nats-Msg-Id`` and marks it sent.  A crash between the two publishes it again under the same id,
which the stream drops within its duplicate window and every consumer must tolerate after it.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from pulse_common import events, metrics
from pulse_common.errors import Unavailable
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulse_common.bus import Bus
    from pulse_common.tenancy import Database, TenantTx

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.2
BATCH = 100
KEEP = timedelta(days=7)
FORGET_EVERY_SECONDS = 3600.0

_INSERT = """
    INSERT INTO outbox (tenant_id, event_id, subject, payload)
    VALUES (%(tenant_id)s, %(event_id)s, %(subject)s, %(payload)s::jsonb)
"""
_INSERT_ALL = """
    INSERT INTO outbox (tenant_id, event_id, subject, payload, bulk)
    SELECT %(tenant_id)s, r.event_id, r.subject, r.payload::jsonb, %(bulk)s
      FROM unnest(%(event_ids)s::uuid[], %(subjects)s::text[], %(payloads)s::text[])
           WITH ORDINALITY AS r (event_id, subject, payload, place)
     ORDER BY r.place
"""
# One relay at a time for each login, so that events leave in the order of their writing, bulk ones after all others.
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('pulse.outbox.' || session_user)) AS held"
_UNSENT = """
    SELECT event_id, subject, payload::text AS payload
      FROM outbox
     WHERE sent_at IS NULL AND producer = session_user
     ORDER BY bulk, position
     LIMIT %(limit)s
"""
_MARK_SENT = "UPDATE outbox SET sent_at = now() WHERE event_id = ANY(%(event_ids)s)"
_FORGET = "DELETE FROM outbox WHERE sent_at < now() - %(keep)s"


async def emit(tx: TenantTx, event: events.Event) -> None:
    """Write ``event`` beside the change it tells of."""
    await tx.execute(
        _INSERT,
        {
            "tenant_id": tx.tenant,
            "event_id": new_id(),
            "subject": event.subject,
            "payload": event.model_dump_json(),
        },
    )


async def emit_all(tx: TenantTx, happened: Sequence[events.Event], *, bulk: bool = False) -> None:
    """Write many events in one statement; they leave in this order.

    ``bulk`` ones let every other event of the service go first: of many thousands that nobody is in a hurry for.
    """
    await tx.execute(
        _INSERT_ALL,
        {
            "tenant_id": tx.tenant,
            "event_ids": [new_id() for _ in happened],
            "subjects": [event.subject for event in happened],
            "payloads": [event.model_dump_json() for event in happened],
            "bulk": bulk,
        },
    )


class Relay:
    """Publishes what this service wrote to the outbox."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus

    async def run(self) -> None:
        """Relay for ever; trouble of the database or the bus is waited out."""
        forget_at = 0.0
        while True:
            try:
                moved = await self.relay_once()
                if time.monotonic() >= forget_at:
                    await self.forget_sent()
                    forget_at = time.monotonic() + FORGET_EVERY_SECONDS
            except Unavailable as error:
                log.warning("relay_waits", reason=error.message)
                moved = 0
            if moved < BATCH:
                await asyncio.sleep(POLL_SECONDS)

    async def relay_once(self) -> int:
        """Publish one batch and return how many events it held.

        Raises:
            Unavailable: the bus or the database is away; nothing is lost.
        """
        async with self._database.service_connection("pulse_outbox") as tx:
            if not (await tx.one(_LOCK))["held"]:
                return 0
            rows = await tx.all(_UNSENT, {"limit": BATCH})
            for row in rows:
                await self._bus.publish_stored(
                    row["subject"], row["payload"].encode(), message_id=str(row["event_id"])
                )
            await tx.execute(_MARK_SENT, {"event_ids": [row["event_id"] for row in rows]})
        metrics.OUTBOX_SENT.inc(len(rows))
        metrics.OUTBOX_UNSENT.set(len(rows) if len(rows) == BATCH else 0)
        return len(rows)

    async def forget_sent(self) -> int:
        """Delete events that were sent more than ``KEEP`` ago."""
        async with self._database.service_connection("pulse_outbox") as tx:
            return await tx.execute(_FORGET, {"keep": KEEP})
