"""The operators' page and operations about device authorities: who issues, and how one follows another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError
from starlette.responses import RedirectResponse, Response

from pulse_common import events_rollover as wire
from pulse_common.errors import AppError, Conflict, Malformed
from pulse_common.http import Guarded, read_model
from pulse_common.identity import OPERATOR_ROLES, Role
from pulse_common.ids import parse_id
from ui_iot.forms import read_form
from ui_iot.operations import Operation
from ui_iot.operator_api import CONSOLE
from ui_iot.operator_pages import console_page
from ui_iot.operator_rollover_calls import BackBody, PlanBody, Rollovers, StepBody

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.http import Endpoint
    from pulse_common.identity import Principal
    from ui_iot.callers import Callers
    from ui_iot.operator_pages import OperatorPages
    from ui_iot.operator_who import Reasons
    from ui_iot.operators import Operator

API = "/api/v2/operator"
PAGE = "/operator/authorities"
READERS: frozenset[str] = frozenset(OPERATOR_ROLES)
WRITERS: frozenset[str] = frozenset({Role.OPERATOR_ADMIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloverDoors:
    rollovers: Rollovers
    reasons: Reasons
    callers: Callers

    def operations(self) -> list[Operation]:
        one = f"{API}/rollovers/{{rollover_id}}"
        posts = (
            ("planRollover", f"{API}/rollovers", self.plan, PlanBody, 201, wire.RolloverSeen),
            ("stepRollover", f"{one}/step", self.step, StepBody, 200, wire.RolloverSeen),
            ("stepRolloverBack", f"{one}/back", self.back, BackBody, 200, wire.RolloverSeen),
            (
                "activateIssuer",
                f"{API}/issuers/{{issuer_id}}/activate",
                self.activate,
                None,
                200,
                wire.IssuerReply,
            ),
        )
        reading = Operation(
            name="operatorRollovers",
            summary="The device authorities, and how one follows another",
            method="GET",
            path=f"{API}/rollovers",
            roles=READERS,
            handler=self.list,
            answers={200: wire.RolloversReply},
        )
        return [
            reading,
            *(
                Operation(
                    name=name,
                    summary=f"{name}; needs a recent log-in",
                    method="POST",
                    path=path,
                    roles=WRITERS,
                    handler=handler,
                    body=body,
                    answers={status: answer},
                    refusals=frozenset({409}),
                )
                for name, path, handler, body, status, answer in posts
            ),
        ]

    def pages(self, console: OperatorPages) -> list[Endpoint]:
        return [
            Guarded(method="GET", path=PAGE, roles=READERS, handler=console.reading(self.page)),
            Guarded(method="POST", path=PAGE, roles=WRITERS, handler=console.writing(self.act)),
        ]

    async def list(self, request: Request, principal: Principal) -> Response:
        return _json(await self.rollovers.all(self.reasons.of_program(request, principal)))

    async def plan(self, request: Request, principal: Principal) -> Response:
        who = self._recent(request, principal)
        return _json(await self.rollovers.plan(who, await read_model(request, PlanBody)), 201)

    async def step(self, request: Request, principal: Principal) -> Response:
        who = self._recent(request, principal)
        body = await read_model(request, StepBody)
        return _json(await self.rollovers.step(who, _id(request, "rollover_id"), body))

    async def back(self, request: Request, principal: Principal) -> Response:
        who = self._recent(request, principal)
        body = await read_model(request, BackBody)
        return _json(await self.rollovers.back(who, _id(request, "rollover_id"), body))

    async def activate(self, request: Request, principal: Principal) -> Response:
        who = self._recent(request, principal)
        return _json(await self.rollovers.activate(who, _id(request, "issuer_id")))

    async def page(self, request: Request, principal: Principal, who: Operator) -> Response:
        return await self._show(request, principal, who, None)

    async def act(self, request: Request, principal: Principal, who: Operator) -> Response:
        """Plan, step, step back or activate: the form says which.  A refusal is shown beside what it is about."""
        form = await read_form(request)
        try:
            await self._act(who, form)
        except Conflict as refusal:
            return await self._show(request, principal, who, refusal)
        return RedirectResponse(PAGE, 303)

    async def _act(self, who: Operator, form: Mapping[str, str]) -> None:
        try:
            match form.get("act"):
                case "plan":
                    body = PlanBody(
                        new_issuer_id=form.get("id", ""),
                        least_share=float(form.get("least_percent", "95")) / 100,
                        drain_days=int(form.get("drain_days", "30")),
                    )
                    await self.rollovers.plan(who, body)
                case "step":
                    given = {"from_state": form.get("from_state"), "broker_seen_to": "seen" in form}
                    step = StepBody.model_validate(given)
                    await self.rollovers.step(who, parse_id(form.get("id", ""), "id"), step)
                case "back":
                    back = BackBody.model_validate({"from_state": form.get("from_state")})
                    await self.rollovers.back(who, parse_id(form.get("id", ""), "id"), back)
                case "activate":
                    await self.rollovers.activate(who, parse_id(form.get("id", ""), "id"))
                case _:
                    raise Malformed("plan, step, back or activate")
        except (ValidationError, ValueError) as error:
            raise Malformed("the form is not filled in as it should be") from error

    async def _show(
        self, request: Request, principal: Principal, who: Operator, refusal: AppError | None
    ) -> Response:
        context = {
            "found": await self.rollovers.all(who),
            "error": refusal.message if refusal else None,
        }
        shown = console_page(request, principal, who, "operator_authorities.html", context)
        if refusal is not None:
            shown.status_code = 409
        return shown

    def _recent(self, request: Request, principal: Principal) -> Operator:
        self.callers.require_recent(principal, CONSOLE)
        return self.reasons.of_program(request, principal)


def _id(request: Request, name: str) -> UUID:
    return parse_id(request.path_params[name], name)


def _json(answer: BaseModel, status: int = 200) -> Response:
    return Response(answer.model_dump_json(), status, media_type="application/json")
