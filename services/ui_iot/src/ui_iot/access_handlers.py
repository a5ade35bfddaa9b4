"""The page and the API of "who looked at our data", for a tenant's administrators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from pulse_common.errors import Malformed, NotFound
from pulse_common.http import read_model
from pulse_common.ids import parse_id
from ui_iot import access_models as models
from ui_iot import people, rendering
from ui_iot.forms import read_form

if TYPE_CHECKING:
    from starlette.requests import Request

    from pulse_common.identity import Principal
    from ui_iot.access import Access
    from ui_iot.callers import Callers

PAGE = "/access"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessHandlers:
    access: Access
    callers: Callers

    async def page(self, request: Request, principal: Principal) -> Response:
        return await self._page(request, principal, error=None)

    async def decide_form(self, request: Request, principal: Principal) -> Response:
        self.callers.require_recent(principal, PAGE)
        try:
            grant = parse_id(request.path_params["grant_id"], "grant_id")
        except Malformed:
            raise NotFound("no such request") from None
        decision = _decision((await read_form(request)).get("decision", ""))
        visit = self.callers.visit_of(request)
        await self.access.decide(principal, grant, decision, visit)
        return RedirectResponse(PAGE, 303)

    async def policy_form(self, request: Request, principal: Principal) -> Response:
        self.callers.require_recent(principal, PAGE)
        form = await read_form(request)
        try:
            body = models.PolicyBody(
                telemetry_needs_approval="telemetry" in form,
                secrets_need_approval="secrets" in form,
                metadata_needs_approval="metadata" in form,
                notice_emails=form.get("emails", "").replace(",", " ").split(),
            )
        except ValidationError:
            error = "write at most ten e-mail addresses, with spaces between them"
            return await self._page(request, principal, error=error)
        policy = models.Policy.model_validate(body.model_dump())
        await self.access.set_policy(principal, policy, self.callers.visit_of(request))
        return RedirectResponse(PAGE, 303)

    async def show(self, _: Request, principal: Principal) -> Response:
        return _json(await self.access.show(principal))

    async def decide(self, request: Request, principal: Principal) -> Response:
        self.callers.require_recent(principal, PAGE)
        grant = parse_id(request.path_params["grant_id"], "grant_id")
        body = await read_model(request, models.DecisionBody)
        visit = self.callers.visit_of(request)
        await self.access.decide(principal, grant, body.decision, visit)
        return _json(await self.access.show(principal))

    async def set_policy(self, request: Request, principal: Principal) -> Response:
        self.callers.require_recent(principal, PAGE)
        body = await read_model(request, models.PolicyBody)
        policy = models.Policy.model_validate(body.model_dump())
        await self.access.set_policy(principal, policy, self.callers.visit_of(request))
        return _json(await self.access.show(principal))

    async def _page(self, request: Request, principal: Principal, *, error: str | None) -> Response:
        request.state.viewer = await people.find_viewer(self.access.db, principal)
        shown = await self.access.show(principal)
        context: dict[str, object] = {
            "policy": shown.policy,
            "waiting": [grant for grant in shown.grants if grant.status == "requested"],
            "active": [grant for grant in shown.grants if grant.status == "active"],
            "past": [
                grant for grant in shown.grants if grant.status not in {"requested", "active"}
            ],
            "accesses": shown.accesses,
            "error": error,
        }
        return rendering.page(request, "access.html", context, 400 if error else 200)


def _decision(text: str) -> models.Decision:
    for decision in get_args(models.Decision):
        if decision == text:
            return decision  # type: ignore[no-any-return]  # one of the literal's own values
    raise Malformed("approve, deny or revoke")


def _json(shown: models.Shown) -> Response:
    return Response(shown.model_dump_json(), media_type="application/json")
