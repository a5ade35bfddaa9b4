"""What the parts of this API share: asking provision_api as the person, creating once, finding one row or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import Response

from pulse_common.errors import NotFound
from pulse_common.http import parse_model, read_body
from pulse_common.ids import new_id, parse_id
from ui_iot.api import active_tenant
from ui_iot.handlers import request_id
from ui_iot.idempotency_key import read_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID

    from pydantic import BaseModel
    from starlette.requests import Request

    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.events import Wire
    from pulse_common.events_profiles import AsAdministrator
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database, Row
    from ui_iot.once import Once

R = TypeVar("R", bound="Wire")
B = TypeVar("B", bound="BaseModel")
CALL_SECONDS = 15.0
NO_STORE = {"cache-control": "no-store"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    db: Database
    bus: Bus
    clock: Clock
    once: Once

    async def ask(self, asked: AsAdministrator, reply: type[R]) -> R:
        return await self.bus.call(asked, reply, seconds=CALL_SECONDS)

    async def create(
        self,
        request: Request,
        principal: Principal,
        model: type[B],
        work: Callable[[B, UUID], Awaitable[BaseModel]],
    ) -> Response:
        """Create once however often it is asked, when an Idempotency-Key says which request it is."""
        key = read_key(request)
        body = parse_model(await read_body(request), model)

        async def make(made: UUID) -> bytes:
            return (await work(body, made)).model_dump_json().encode()

        if key is None:
            async with active_tenant(self.db, principal):
                pass
            return _created(await make(new_id()))
        fingerprint = f"POST {request.url.path} {body.model_dump_json()}".encode()
        known = await self.once.run(principal, key, fingerprint, make)
        response = _created(known.body)
        if known.is_replay:
            response.headers["idempotency-replayed"] = "true"
        return response


def who(request: Request) -> dict[str, Any]:
    """Return what every call says of the person."""
    return {"access_token": request.state.access_token, "request_id": request_id()}


def path_id(request: Request, name: str) -> UUID:
    return parse_id(request.path_params[name], name)


def the_one(rows: Sequence[Row], words: str) -> Row:
    if not rows:
        raise NotFound(words)
    return rows[0]


def answered(shown: BaseModel, status: int = 200) -> Response:
    return Response(shown.model_dump_json(), status, NO_STORE, media_type="application/json")


def _created(body: bytes) -> Response:
    return Response(body, 201, NO_STORE, media_type="application/json")
