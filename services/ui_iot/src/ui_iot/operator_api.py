"""The operators' JSON API: each handler reads the request, runs one use case, answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from pulse_common.http import read_model
from pulse_common.ids import parse_id
from ui_iot import operator_models as models
from ui_iot.access_models import AskBody, GrantsAnswer
from ui_iot.archive import MEDIA_TYPE
from ui_iot.operations import read_query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.identity import Principal
    from ui_iot.access_models import Shown
    from ui_iot.callers import Callers
    from ui_iot.operator_audit import OperatorAudit
    from ui_iot.operator_changes import OperatorChanges
    from ui_iot.operator_export import OperatorExport
    from ui_iot.operator_who import Reasons
    from ui_iot.operators import Operator, Operators

CONSOLE = "/operator/tenants"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorApi:
    operators: Operators
    changes: OperatorChanges
    export: OperatorExport
    reasons: Reasons
    callers: Callers
    trail: OperatorAudit

    async def tenants(self, request: Request, principal: Principal) -> Response:
        who = self.reasons.of_program(request, principal)
        return _json(models.TenantsAnswer(tenants=await self.operators.tenants(who)))

    async def tenant(self, request: Request, principal: Principal) -> Response:
        who = self.reasons.of_program(request, principal)
        return _json(await self.operators.tenant(who, tenant_id(request)))

    async def states(self, request: Request, principal: Principal) -> Response:
        who = self.reasons.of_program(request, principal)
        return _json(
            models.StatesAnswer(states=await self.operators.states(who, tenant_id(request)))
        )

    async def requests(self, request: Request, principal: Principal) -> Response:
        who = self.reasons.of_program(request, principal)
        return _json(GrantsAnswer(grants=await self.operators.requests(who)))

    async def devices(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.DevicesSearch)
        who = self.reasons.of_program(request, principal)
        return _json(models.DevicesFound(devices=await self.operators.devices(who, query.text)))

    async def health(self, request: Request, principal: Principal) -> Response:
        return _json(await self.operators.health(self.reasons.of_program(request, principal)))

    async def create(self, request: Request, principal: Principal) -> Response:
        who = self._recent(request, principal)
        body = await read_model(request, models.CreateTenantBody)
        return _json(models.DoneAnswer(id=await self.changes.create(who, body.name)), 201)

    async def suspend(self, request: Request, principal: Principal) -> Response:
        return await self._change(request, principal, self.changes.suspend)

    async def resume(self, request: Request, principal: Principal) -> Response:
        return await self._change(request, principal, self.changes.resume)

    async def restore(self, request: Request, principal: Principal) -> Response:
        return await self._change(request, principal, self.changes.restore)

    async def delete(self, request: Request, principal: Principal) -> Response:
        who, tenant = self._recent(request, principal), tenant_id(request)
        body = await read_model(request, models.DeleteTenantBody)
        await self.changes.delete(who, tenant, body.name, body.grace_days)
        return _json(await self.operators.tenant(who, tenant))

    async def export_tenant(self, request: Request, principal: Principal) -> Response:
        who = self._recent(request, principal)
        return await stream_export(self.export, who, tenant_id(request))

    async def ask(self, request: Request, principal: Principal) -> Response:
        who = self._recent(request, principal)
        body = await read_model(request, AskBody)
        grant = await self.changes.ask(who, tenant_id(request), body)
        return _json(models.DoneAnswer(id=grant), 201)

    async def break_glass(self, request: Request, principal: Principal) -> Response:
        who, tenant = self._recent(request, principal), tenant_id(request)
        grant = parse_id(request.path_params["grant_id"], "grant_id")
        await self.changes.break_glass(who, tenant, grant)
        return _json(await self.operators.tenant(who, tenant))

    async def _change(
        self,
        request: Request,
        principal: Principal,
        act: Callable[[Operator, UUID], Awaitable[None]],
    ) -> Response:
        who, tenant = self._recent(request, principal), tenant_id(request)
        await act(who, tenant)
        return _json(await self.operators.tenant(who, tenant))

    def _recent(self, request: Request, principal: Principal) -> Operator:
        self.callers.require_recent(principal, CONSOLE)
        return self.reasons.of_program(request, principal)


async def stream_export(export: OperatorExport, who: Operator, tenant: UUID) -> Response:
    known = await export.require_tenant(who, tenant)
    return StreamingResponse(
        export.stream(who, tenant, known),
        media_type=MEDIA_TYPE,
        headers={"content-disposition": f'attachment; filename="pulse-{tenant}.tar"'},
    )


def tenant_id(request: Request) -> UUID:
    return parse_id(request.path_params["tenant_id"], "tenant_id")


def _json(shown: Shown, status: int = 200) -> Response:
    return Response(shown.model_dump_json(), status, media_type="application/json")
