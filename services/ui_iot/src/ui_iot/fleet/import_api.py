"""The JSON API about imports: bytes are handed on as they come, files are made line by line."""

from __future__ import annotations

import base64
import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from pulse_common import events_fleet as calls
from ui_iot.api import active_tenant
from ui_iot.conditional import answer
from ui_iot.fleet import models, store
from ui_iot.fleet.asking import NO_STORE, answered, path_id, the_one, who
from ui_iot.operations import read_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from typing import Literal
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.identity import Principal
    from pulse_common.tenancy import Row
    from ui_iot.fleet.asking import Asking

PAGE_SIZE = 200
NONE = "no such import"
TOKEN_COLUMNS = ("line", "hardware_id", "device_id", "token", "expires_at")
PROBLEM_COLUMNS = ("line", "hardware_id", "problem")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class ImportApi:
    asking: Asking

    async def imports(self, request: Request, principal: Principal) -> Response:
        async with active_tenant(self.asking.db, principal) as tx:
            rows = await store.list_imports(tx)
        shown = [models.ImportAnswer(**row) for row in rows]
        return answer(request, models.ImportsAnswer(imports=shown))

    async def one(self, request: Request, principal: Principal) -> Response:
        row = await self.find(path_id(request, "import_id"), principal)
        return answer(request, models.ImportAnswer(**row))

    async def create(self, request: Request, principal: Principal) -> Response:
        async def work(body: models.ImportBody, made: UUID) -> models.ImportStateAnswer:
            asked = calls.CreateImportRequest(**who(request), import_id=made, **body.model_dump())
            return _state(await self.asking.ask(asked, calls.ImportReply))

        return await self.asking.create(request, principal, models.ImportBody, work)

    async def content(self, request: Request, principal: Principal) -> Response:
        """Hand the body on part by part: one part is all that is ever held."""
        at = read_query(request, models.ContentQuery).at_byte
        row = await self.find(path_id(request, "import_id"), principal)
        kept = bytearray()
        reply = calls.ImportReply(
            import_id=row["id"], state=row["state"], received_bytes=row["received_bytes"]
        )
        async for chunk in request.stream():
            kept += chunk
            while len(kept) >= calls.LARGEST_PART_BYTES:
                part = bytes(kept[: calls.LARGEST_PART_BYTES])
                del kept[: calls.LARGEST_PART_BYTES]
                reply, at = await self._send(request, row["id"], at, part), at + len(part)
        if kept:
            reply = await self._send(request, row["id"], at, bytes(kept))
        return answered(_state(reply))

    async def start(self, request: Request, principal: Principal) -> Response:
        return await self._act(request, principal, "start")

    async def cancel(self, request: Request, principal: Principal) -> Response:
        return await self._act(request, principal, "cancel")

    async def problems(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.ProblemsQuery)
        row = await self.find(path_id(request, "import_id"), principal)
        rows = await self._problems(principal, row["id"], query.after, PAGE_SIZE + 1)
        shown = [models.ProblemLine(**one) for one in rows[:PAGE_SIZE]]
        more = shown[-1].line if len(rows) > PAGE_SIZE else None
        return answer(request, models.ProblemsAnswer(problems=shown, next_after=more))

    async def problems_file(self, request: Request, principal: Principal) -> Response:
        row = await self.find(path_id(request, "import_id"), principal)
        return _file(self._problem_lines(principal, row["id"]), "problems", row["id"])

    async def tokens_file(self, request: Request, principal: Principal) -> Response:
        """Make and hand out the enrolment tokens; a refusal comes before the first byte."""
        row = await self.find(path_id(request, "import_id"), principal)
        asked = calls.ImportTokensRequest(**who(request), import_id=row["id"])
        first = await self.asking.ask(asked, calls.ImportTokensReply)
        return _file(self._token_lines(asked, first), "tokens", row["id"])

    async def find(self, import_id: UUID, principal: Principal) -> Row:
        async with active_tenant(self.asking.db, principal) as tx:
            return the_one(await store.list_imports(tx, import_id), NONE)

    async def _send(
        self, request: Request, import_id: UUID, at: int, part: bytes
    ) -> calls.ImportReply:
        asked = calls.SendImportPartRequest(
            **who(request),
            import_id=import_id,
            at_byte=at,
            data_base64=base64.b64encode(part).decode(),
        )
        return await self.asking.ask(asked, calls.ImportReply)

    async def _act(
        self, request: Request, principal: Principal, act: Literal["start", "cancel"]
    ) -> Response:
        row = await self.find(path_id(request, "import_id"), principal)
        asked = calls.ActOnImportRequest(**who(request), import_id=row["id"], act=act)
        return answered(_state(await self.asking.ask(asked, calls.ImportReply)))

    async def _problems(
        self, principal: Principal, import_id: UUID, after: int, limit: int
    ) -> list[Row]:
        async with active_tenant(self.asking.db, principal) as tx:
            return list(await store.list_problems(tx, import_id, after, limit))

    async def _problem_lines(self, principal: Principal, import_id: UUID) -> AsyncIterator[str]:
        yield csv_line(PROBLEM_COLUMNS)
        after = 0
        while rows := await self._problems(principal, import_id, after, PAGE_SIZE):
            yield "".join(csv_line(row[name] for name in PROBLEM_COLUMNS) for row in rows)
            after = rows[-1]["line"]

    async def _token_lines(
        self, asked: calls.ImportTokensRequest, reply: calls.ImportTokensReply
    ) -> AsyncIterator[str]:
        yield csv_line(TOKEN_COLUMNS)
        while True:
            rows = [one.model_dump(mode="json") for one in reply.tokens]
            yield "".join(csv_line(row[name] for name in TOKEN_COLUMNS) for row in rows)
            if not reply.more:
                return
            following = asked.model_copy(update={"after_line": reply.tokens[-1].line})
            reply = await self.asking.ask(following, calls.ImportTokensReply)


def csv_line(values: Iterable[object]) -> str:
    """Write a line that no spreadsheet takes for formulas: what could begin one gets an apostrophe."""
    line = io.StringIO()
    csv.writer(line).writerow([_cell(value) for value in values])
    return line.getvalue()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _state(reply: calls.ImportReply) -> models.ImportStateAnswer:
    return models.ImportStateAnswer(
        id=reply.import_id, state=reply.state, received_bytes=reply.received_bytes
    )


def _file(lines: AsyncIterator[str], what: str, import_id: UUID) -> Response:
    name = f"pulse-{what}-{import_id}.csv"
    headers = {**NO_STORE, "content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type="text/csv", headers=headers)
