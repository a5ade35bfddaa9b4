"""The JSON API about routes and deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from pulse_common import delivery_events as calls
from pulse_common.http import parse_model, read_body, read_model
from pulse_common.ids import new_id, parse_id
from ui_iot import route_models as models
from ui_iot.api import active_tenant
from ui_iot.conditional import answer, check_version
from ui_iot.idempotency_key import read_key
from ui_iot.operations import read_query

if TYPE_CHECKING:
    from uuid import UUID

    from pydantic import BaseModel
    from starlette.requests import Request

    from pulse_common.identity import Principal
    from pulse_common.tenancy import Row
    from ui_iot.once import Once
    from ui_iot.route_work import RouteWork


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteApi:
    work: RouteWork
    once: Once

    async def event_types(self, request: Request, principal: Principal) -> Response:
        async with active_tenant(self.work.db, principal):
            pass
        kinds = [
            models.EventTypeAnswer(type=kind, what=what) for kind, what in calls.CATALOGUE.items()
        ]
        return answer(request, models.EventTypesAnswer(event_types=kinds))

    async def routes(self, request: Request, principal: Principal) -> Response:
        rows = await self.work.list(principal)
        return answer(request, models.RoutesAnswer(routes=[_show(row) for row in rows]))

    async def route(self, request: Request, principal: Principal) -> Response:
        row = await self.work.find(principal, _route_id(request))
        return answer(request, _show(row), row["version"])

    async def create(self, request: Request, principal: Principal) -> Response:
        key = read_key(request)
        body = parse_model(await read_body(request), models.RouteBody)

        async def work(route_id: UUID) -> bytes:
            row, secret = await self.work.create(principal, route_id, body)
            created = models.CreatedRouteAnswer(route=_show(row), secret=secret)
            return created.model_dump_json().encode()

        if key is None:
            async with active_tenant(self.work.db, principal):
                pass
            return _created(await work(new_id()))
        fingerprint = f"POST {request.url.path} {body.model_dump_json()}".encode()
        known = await self.once.run(principal, key, fingerprint, work)
        response = _created(known.body)
        if known.is_replay:
            response.headers["idempotency-replayed"] = "true"
        return response

    async def change(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, models.RouteBody)
        row = await self.work.find(principal, _route_id(request))
        version = check_version(request, row["version"])
        await self.work.change(principal, row["id"], body, version)
        return await self.route(request, principal)

    async def delete(self, request: Request, principal: Principal) -> Response:
        await self.work.ask(calls.DeleteRouteRequest, principal, _route_id(request))
        return Response(None, 204)

    async def rotate(self, request: Request, principal: Principal) -> Response:
        made = await self.work.ask(calls.RotateSecretRequest, principal, _route_id(request))
        return _json(models.SecretAnswer(secret=made.secret or ""))

    async def pause(self, request: Request, principal: Principal) -> Response:
        await self.work.ask(calls.PauseRouteRequest, principal, _route_id(request))
        return _json(_show(await self.work.find(principal, _route_id(request))))

    async def resume(self, request: Request, principal: Principal) -> Response:
        await self.work.ask(calls.ResumeRouteRequest, principal, _route_id(request))
        return _json(_show(await self.work.find(principal, _route_id(request))))

    async def verify(self, request: Request, principal: Principal) -> Response:
        kind = calls.VerifyRouteRequest
        return _json(await self.work.attempt(kind, principal, _route_id(request)))

    async def test(self, request: Request, principal: Principal) -> Response:
        kind = calls.TestRouteRequest
        return _json(await self.work.attempt(kind, principal, _route_id(request)))

    async def replay(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, models.ReplayBody)
        done = await self.work.replay(principal, _route_id(request), body)
        return _json(models.ReplayedAnswer(replayed=done))

    async def deliveries(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.DeliveriesQuery)
        return answer(request, await self.work.deliveries(principal, query))

    async def dead_letters(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.RouteDeadLettersQuery)
        return answer(request, await self.work.dead_letters(principal, _route_id(request), query))

    async def dead_letter(self, request: Request, principal: Principal) -> Response:
        wanted = request.path_params["delivery_id"]
        return answer(request, await self.work.dead_letter(principal, _route_id(request), wanted))


def _route_id(request: Request) -> UUID:
    return parse_id(request.path_params["route_id"], "route_id")


def _show(row: Row) -> models.RouteAnswer:
    return models.RouteAnswer(**{k: v for k, v in row.items() if k != "version"})


def _created(body: bytes) -> Response:
    made = models.CreatedRouteAnswer.model_validate_json(body)
    headers = {"location": f"/api/v2/routes/{made.route.id}", "cache-control": "no-store"}
    return Response(body, 201, headers, media_type="application/json")


def _json(shown: BaseModel) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(shown.model_dump_json(), 200, headers, media_type="application/json")
