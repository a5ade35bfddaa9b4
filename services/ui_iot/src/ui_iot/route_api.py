"""The JSON API about routes: reads here, every change through delivery_worker, which owns them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from starlette.responses import Response

from pulse_common import delivery_events as calls
from pulse_common.errors import NotFound
from pulse_common.http import parse_model, read_body, read_model
from pulse_common.ids import new_id, parse_id
from ui_iot import people, rendering, route_store
from ui_iot import route_models as models
from ui_iot.api import active_tenant
from ui_iot.conditional import answer, check_version
from ui_iot.handlers import request_id
from ui_iot.idempotency_key import read_key
from ui_iot.operations import read_query

if TYPE_CHECKING:
    from uuid import UUID

    from pydantic import BaseModel
    from starlette.requests import Request

    from pulse_common.bus import Bus
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database, Row
    from ui_iot.once import Once

A = TypeVar("A", bound=calls.RouteAct)
PAGE_SIZE = 100
CALL_SECONDS = 10.0
LONGEST_ATTEMPT_SECONDS = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteApi:
    db: Database
    bus: Bus
    once: Once

    async def page(self, request: Request, principal: Principal) -> Response:
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            routes = await route_store.list_routes(tx)
        query = read_query(request, models.DeliveriesQuery)
        context: dict[str, object] = {
            "routes": routes,
            "names": {row["id"]: row["name"] for row in routes},
            "log": await self._deliveries(principal, query),
            "query": query,
        }
        return rendering.page(request, "routes.html", context)

    async def routes(self, request: Request, principal: Principal) -> Response:
        async with active_tenant(self.db, principal) as tx:
            rows = await route_store.list_routes(tx)
        return answer(request, models.RoutesAnswer(routes=[_show(row) for row in rows]))

    async def route(self, request: Request, principal: Principal) -> Response:
        row = await self._find(_route_id(request), principal)
        return answer(request, _show(row), row["version"])

    async def create(self, request: Request, principal: Principal) -> Response:
        key = read_key(request)
        body = parse_model(await read_body(request), models.RouteBody)

        async def work(route_id: UUID) -> bytes:
            asked = calls.CreateRouteRequest(
                tenant_id=people.tenant_of(principal),
                actor_id=principal.subject,
                route_id=route_id,
                wanted=calls.RouteWanted.model_validate(body.model_dump()),
                request_id=request_id(),
            )
            made = await self.bus.call(asked, calls.RouteReply, seconds=CALL_SECONDS)
            shown = _show(await self._find(route_id, principal))
            created = models.CreatedRouteAnswer(route=shown, secret=made.secret or "")
            return created.model_dump_json().encode()

        if key is None:
            async with active_tenant(self.db, principal):
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
        row = await self._find(_route_id(request), principal)
        asked = calls.ChangeRouteRequest(
            tenant_id=people.tenant_of(principal),
            actor_id=principal.subject,
            route_id=row["id"],
            wanted=calls.RouteWanted.model_validate(body.model_dump()),
            version=check_version(request, row["version"]),
            request_id=request_id(),
        )
        await self.bus.call(asked, calls.RouteReply, seconds=CALL_SECONDS)
        return await self.route(request, principal)

    async def delete(self, request: Request, principal: Principal) -> Response:
        await self._ask(calls.DeleteRouteRequest, request, principal)
        return Response(None, 204)

    async def rotate(self, request: Request, principal: Principal) -> Response:
        made = await self._ask(calls.RotateSecretRequest, request, principal)
        return _json(models.SecretAnswer(secret=made.secret or ""))

    async def pause(self, request: Request, principal: Principal) -> Response:
        await self._ask(calls.PauseRouteRequest, request, principal)
        return _json(_show(await self._find(_route_id(request), principal)))

    async def resume(self, request: Request, principal: Principal) -> Response:
        await self._ask(calls.ResumeRouteRequest, request, principal)
        return _json(_show(await self._find(_route_id(request), principal)))

    async def verify(self, request: Request, principal: Principal) -> Response:
        asked = await self._act(calls.VerifyRouteRequest, request, principal)
        return _json(await self._attempt(asked))

    async def test(self, request: Request, principal: Principal) -> Response:
        asked = await self._act(calls.TestRouteRequest, request, principal)
        return _json(await self._attempt(asked))

    async def replay(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, models.ReplayBody)
        base = await self._act(calls.ReplayDeadRequest, request, principal)
        asked = base.model_copy(update=body.model_dump())
        done = await self.bus.call(asked, calls.ReplayedReply, seconds=LONGEST_ATTEMPT_SECONDS)
        return _json(models.ReplayedAnswer(replayed=done.replayed))

    async def deliveries(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.DeliveriesQuery)
        return answer(request, await self._deliveries(principal, query))

    async def _deliveries(
        self, principal: Principal, query: models.DeliveriesQuery
    ) -> models.DeliveriesAnswer:
        async with active_tenant(self.db, principal) as tx:
            rows = await route_store.list_deliveries(tx, limit=PAGE_SIZE + 1, **query.model_dump())
        shown = [models.DeliveryAnswer(**row) for row in rows[:PAGE_SIZE]]
        return models.DeliveriesAnswer(
            deliveries=shown, next_after=shown[-1].id if len(rows) > PAGE_SIZE else None
        )

    async def _attempt(self, asked: calls.RouteAct) -> models.AttemptAnswer:
        made = await self.bus.call(asked, calls.AttemptReply, seconds=LONGEST_ATTEMPT_SECONDS)
        return models.AttemptAnswer(**made.model_dump())

    async def _ask(
        self, kind: type[calls.RouteAct], request: Request, principal: Principal
    ) -> calls.RouteReply:
        asked = await self._act(kind, request, principal)
        return await self.bus.call(asked, calls.RouteReply, seconds=CALL_SECONDS)

    async def _act(self, kind: type[A], request: Request, principal: Principal) -> A:
        row = await self._find(_route_id(request), principal)
        return kind(
            tenant_id=people.tenant_of(principal),
            actor_id=principal.subject,
            route_id=row["id"],
            request_id=request_id(),
        )

    async def _find(self, route_id: UUID, principal: Principal) -> Row:
        async with active_tenant(self.db, principal) as tx:
            rows = await route_store.list_routes(tx, route_id)
        if not rows:
            raise NotFound("no such route")
        return rows[0]


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
