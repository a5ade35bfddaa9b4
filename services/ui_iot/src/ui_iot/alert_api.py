"""The JSON API about alerts and their rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from pulse_common.events_alerts import RuleWanted
from pulse_common.http import parse_model, read_body, read_model
from pulse_common.ids import new_id, parse_id
from ui_iot import alert_models as models
from ui_iot.api import active_tenant, as_json
from ui_iot.conditional import answer, check_version
from ui_iot.idempotency_key import read_key
from ui_iot.operations import read_query

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.identity import Principal
    from pulse_common.tenancy import Row
    from ui_iot.alert_work import AlertWork
    from ui_iot.once import Once


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertApi:
    work: AlertWork
    once: Once

    async def rules(self, request: Request, principal: Principal) -> Response:
        rows = await self.work.rules(principal)
        return answer(request, models.RulesAnswer(rules=[_show(row) for row in rows]))

    async def rule(self, request: Request, principal: Principal) -> Response:
        row = await self.work.find_rule(principal, _rule_id(request))
        return answer(request, _show(row), row["version"])

    async def create(self, request: Request, principal: Principal) -> Response:
        key = read_key(request)
        body = parse_model(await read_body(request), models.RuleBody)

        async def work(rule_id: UUID) -> bytes:
            await self.work.create(principal, rule_id, _wanted(body))
            return _show(await self.work.find_rule(principal, rule_id)).model_dump_json().encode()

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
        body = await read_model(request, models.RuleBody)
        row = await self.work.find_rule(principal, _rule_id(request))
        version = check_version(request, row["version"])
        await self.work.change(principal, row["id"], _wanted(body), version)
        return await self.rule(request, principal)

    async def delete(self, request: Request, principal: Principal) -> Response:
        row = await self.work.find_rule(principal, _rule_id(request))
        await self.work.delete(principal, row["id"])
        return Response(None, 204)

    async def alerts(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.AlertsQuery)
        return answer(request, await self.work.alerts(principal, query))

    async def acknowledge(self, request: Request, principal: Principal) -> Response:
        alert_id = parse_id(request.path_params["alert_id"], "alert_id")
        done = await self.work.acknowledge(principal, alert_id)
        return as_json(models.AcknowledgedAnswer(acknowledged_at=done.acknowledged_at), 200)


def _wanted(body: models.RuleBody) -> RuleWanted:
    return RuleWanted.model_validate(body.model_dump())


def _rule_id(request: Request) -> UUID:
    return parse_id(request.path_params["rule_id"], "rule_id")


def _show(row: Row) -> models.RuleAnswer:
    return models.RuleAnswer(**{name: value for name, value in row.items() if name != "version"})


def _created(body: bytes) -> Response:
    made = models.RuleAnswer.model_validate_json(body)
    headers = {"location": f"/api/v2/alert-rules/{made.id}"}
    return Response(body, 201, headers, media_type="application/json")
