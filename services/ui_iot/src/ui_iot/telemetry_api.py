"""The JSON API about readings over time, and about what was refused, limited and commanded."""

from __future__ import annotations

import base64
import csv
import io
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, assert_never

from starlette.responses import StreamingResponse

from pulse_common.errors import Malformed
from pulse_common.ids import parse_id
from ui_iot import parquet_export, people, telemetry_store
from ui_iot import telemetry_models as models
from ui_iot.api import active_tenant, as_json, find_device
from ui_iot.operations import read_query
from ui_iot.telemetry_store import Place, Range
from ui_iot.telemetry_words import reason_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.clock import Clock
    from pulse_common.identity import Principal, TenantId
    from pulse_common.tenancy import Database, Row

READINGS_A_PAGE = 500
ROWS_A_PAGE = 100
MOST_BUCKETS = 2000
EXPORT_AT_ONCE = 2000
USUAL_SPAN = timedelta(days=1)
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryApi:
    db: Database
    clock: Clock

    async def readings(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.ReadingsQuery)
        after = read_place(query.after)
        wanted = await self._range(request, principal, query)
        async with active_tenant(self.db, principal) as tx:
            rows = await telemetry_store.readings(tx, wanted, after, READINGS_A_PAGE + 1)
        shown = rows[:READINGS_A_PAGE]
        more = len(rows) > READINGS_A_PAGE
        answer = models.ReadingsAnswer(
            readings=[models.ReadingAnswer.model_validate(row) for row in shown],
            next_after=name_place(shown[-1]["ts"], shown[-1]["message_id"]) if more else None,
        )
        return as_json(answer, 200)

    async def buckets(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.BucketsQuery)
        wanted = await self._range(request, principal, query)
        if (wanted.until - wanted.since).total_seconds() > MOST_BUCKETS * query.bucket_seconds:
            raise Malformed(f"at most {MOST_BUCKETS} buckets: take larger ones, or less time")
        async with active_tenant(self.db, principal) as tx:
            rows = await telemetry_store.buckets(tx, wanted, query.bucket_seconds, MOST_BUCKETS + 1)
        found = [models.BucketAnswer.model_validate(row) for row in rows]
        return as_json(models.BucketsAnswer(buckets=found), 200)

    async def export(self, request: Request, principal: Principal) -> Response:
        """Stream readings, newest first, page after page: each is a transaction of its own."""
        query = read_query(request, models.ExportQuery)
        wanted = await self._range(request, principal, query)
        tenant = people.tenant_of(principal)
        parts = self._parts(query.format, tenant, wanted)
        # Before the first header goes out: what is refused must be able to say so.
        first = await _first_of(parts)
        name = f"pulse-{wanted.device_id}.{query.format}"
        return StreamingResponse(
            _after(first, parts),
            media_type=MEDIA_TYPES[query.format],
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )

    async def dead_letters(self, request: Request, principal: Principal) -> Response:
        return await self._dead_letters(request, principal, None)

    async def device_dead_letters(self, request: Request, principal: Principal) -> Response:
        device = await find_device(self.db, request, principal)
        return await self._dead_letters(request, principal, device.id)

    async def limits(self, _: Request, principal: Principal) -> Response:
        return as_json(await self.limits_of(principal, None), 200)

    async def device_limits(self, request: Request, principal: Principal) -> Response:
        device = await find_device(self.db, request, principal)
        return as_json(await self.limits_of(principal, device.id), 200)

    async def commands(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.PageQuery)
        device = await find_device(self.db, request, principal)
        return as_json(await self.commands_of(principal, device.id, query.after), 200)

    async def letters_of(
        self, principal: Principal, device_id: UUID | None, after: str | None
    ) -> models.DeadLettersAnswer:
        place = read_place(after)
        async with active_tenant(self.db, principal) as tx:
            rows = await telemetry_store.dead_letters(tx, device_id, place, ROWS_A_PAGE + 1)
        shown = rows[:ROWS_A_PAGE]
        more = len(rows) > ROWS_A_PAGE
        last = shown[-1] if more else None
        return models.DeadLettersAnswer(
            dead_letters=[_letter(row) for row in shown],
            next_after=name_place(last["received_at"], last["letter_id"]) if last else None,
        )

    async def limits_of(self, principal: Principal, device_id: UUID | None) -> models.LimitsAnswer:
        async with active_tenant(self.db, principal) as tx:
            rows = await telemetry_store.limits(tx, device_id, ROWS_A_PAGE)
        return models.LimitsAnswer(limits=[models.LimitAnswer.model_validate(row) for row in rows])

    async def commands_of(
        self, principal: Principal, device_id: UUID, after: str | None
    ) -> models.CommandsAnswer:
        place = read_place(after)
        async with active_tenant(self.db, principal) as tx:
            rows = await telemetry_store.commands(tx, device_id, place, ROWS_A_PAGE + 1)
        shown = rows[:ROWS_A_PAGE]
        last = shown[-1] if len(rows) > ROWS_A_PAGE else None
        return models.CommandsAnswer(
            commands=[models.CommandSeen.model_validate(row) for row in shown],
            next_after=name_place(last["created_at"], last["command_id"]) if last else None,
        )

    async def _dead_letters(
        self, request: Request, principal: Principal, device_id: UUID | None
    ) -> Response:
        query = read_query(request, models.PageQuery)
        return as_json(await self.letters_of(principal, device_id, query.after), 200)

    async def _range(
        self, request: Request, principal: Principal, query: models.RangeQuery
    ) -> Range:
        until = query.until or self.clock() + timedelta(minutes=15)
        try:
            since = query.since or until - USUAL_SPAN
        except OverflowError:
            raise Malformed("until cannot be read") from None
        if since >= until:
            raise Malformed("since must be before until")
        device = await find_device(self.db, request, principal)
        return Range(device_id=device.id, since=since, until=until, metric=query.metric)

    async def _pages(self, tenant: TenantId, wanted: Range) -> AsyncIterator[Sequence[Row]]:
        after: Place | None = None
        while True:
            async with self.db.tenant_connection(tenant) as tx:
                rows = await telemetry_store.readings(tx, wanted, after, EXPORT_AT_ONCE)
            if not rows:
                return
            yield rows
            after = Place(rows[-1]["ts"], rows[-1]["message_id"])

    async def _csv(self, tenant: TenantId, wanted: Range) -> AsyncIterator[str]:
        """One line a value: what metrics there are is not known before the end."""
        yield "ts,received_at,metric,value\r\n"
        async for rows in self._pages(tenant, wanted):
            text = io.StringIO()
            writer = csv.writer(text)
            for row in rows:
                at = (row["ts"].isoformat(), row["received_at"].isoformat())
                for name, value in row["metrics"].items():
                    writer.writerow([*at, name, _cell(value)])
            yield text.getvalue()

    def _parts(
        self, kind: Literal["csv", "jsonl", "parquet"], tenant: TenantId, wanted: Range
    ) -> AsyncIterator[str | bytes]:
        match kind:
            case "csv":
                return self._csv(tenant, wanted)
            case "jsonl":
                return self._jsonl(tenant, wanted)
            case "parquet":
                return parquet_export.stream(self._pages(tenant, wanted))
            case _:
                assert_never(kind)

    async def _jsonl(self, tenant: TenantId, wanted: Range) -> AsyncIterator[str]:
        async for rows in self._pages(tenant, wanted):
            yield "".join(
                json.dumps(
                    {
                        "ts": row["ts"].isoformat(),
                        "received_at": row["received_at"].isoformat(),
                        "metrics": row["metrics"],
                    }
                )
                + "\n"
                for row in rows
            )


async def _first_of(parts: AsyncIterator[str | bytes]) -> str | bytes:
    async for part in parts:
        return part
    return b""


async def _after(
    first: str | bytes, rest: AsyncIterator[str | bytes]
) -> AsyncIterator[str | bytes]:
    yield first
    async for part in rest:
        yield part


def _cell(value: object) -> str:
    """A spreadsheet must not take a device's text for a formula."""
    if isinstance(value, str):
        return f"'{value}" if value.lstrip().startswith(("=", "+", "-", "@", "\t", "\r")) else value
    return json.dumps(value)


def _letter(row: Row) -> models.DeadLetterAnswer:
    kept = base64.b64encode(row["payload"]).decode()
    text = reason_text(row["reason"])
    return models.DeadLetterAnswer.model_validate({**row, "payload_base64": kept, "text": text})


def name_place(at: datetime, row_id: UUID) -> str:
    # A plus sign would be a blank in a query string.
    return f"{at.isoformat().replace('+00:00', 'Z')}_{row_id}"


def read_place(text: str | None) -> Place | None:
    if text is None:
        return None
    at, _, row_id = text.partition("_")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise Malformed("after is not a cursor of ours") from None
    if moment.tzinfo is None:
        raise Malformed("after is not a cursor of ours")
    return Place(moment, parse_id(row_id, "after"))
