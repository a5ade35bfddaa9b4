"""The operators' console: the same use cases as the API, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from pulse_common.errors import Malformed, NotFound
from pulse_common.identity import Role
from pulse_common.ids import parse_id
from ui_iot import people, rendering
from ui_iot.access_models import AskBody
from ui_iot.domain import local_path
from ui_iot.forms import read_form
from ui_iot.operator_api import CONSOLE, stream_export
from ui_iot.operator_models import CreateTenantBody, DeleteTenantBody
from ui_iot.operator_who import ReasonMissing, Reasons

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.identity import Principal
    from ui_iot.callers import Callers
    from ui_iot.operator_audit import OperatorAudit
    from ui_iot.operator_changes import OperatorChanges
    from ui_iot.operator_export import OperatorExport
    from ui_iot.operators import Operator, Operators

    Page = Callable[[Request, Principal, Operator], Awaitable[Response]]
    Handler = Callable[[Request, Principal], Awaitable[Response]]

REASON = "/operator/reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPages:
    operators: Operators
    changes: OperatorChanges
    export: OperatorExport
    reasons: Reasons
    callers: Callers
    trail: OperatorAudit

    def reading(self, page: Page) -> Handler:
        """Let a page be read by whoever has said why, and lead everybody else to the question."""

        async def read(request: Request, principal: Principal) -> Response:
            try:
                who = self.reasons.of_browser(request, principal)
            except ReasonMissing:
                return _ask_why(request)
            request.state.viewer = people.stranger(principal)
            return await page(request, principal, who)

        return read

    def writing(self, page: Page) -> Handler:
        """As ``reading``, for whoever has logged in recently too."""

        async def write(request: Request, principal: Principal) -> Response:
            self.callers.require_recent(principal, _back_to(request))
            return await self.reading(page)(request, principal)

        return write

    async def ask_reason(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = people.stranger(principal)
        wanted = local_path(request.query_params.get("next"))
        context: dict[str, object] = {"next": wanted, "error": None}
        return rendering.page(request, "operator_reason.html", context)

    async def give_reason(self, request: Request, principal: Principal) -> Response:
        form = await read_form(request)
        wanted = local_path(form.get("next"))
        response = RedirectResponse(wanted if wanted.startswith("/operator") else CONSOLE, 303)
        try:
            self.reasons.keep(response, principal, form.get("reason", ""))
        except Malformed as error:
            request.state.viewer = people.stranger(principal)
            context: dict[str, object] = {"next": wanted, "error": error.message}
            return rendering.page(request, "operator_reason.html", context, 400)
        return response

    async def tenants(self, request: Request, principal: Principal, who: Operator) -> Response:
        context = {"tenants": await self.operators.tenants(who), "error": None}
        return console_page(request, principal, who, "operator_tenants.html", context)

    async def create(self, request: Request, principal: Principal, who: Operator) -> Response:
        del principal
        try:
            body = CreateTenantBody(name=(await read_form(request)).get("name", "").strip())
        except ValidationError:
            raise Malformed("a tenant's name has 1 to 100 characters") from None
        tenant = await self.changes.create(who, body.name)
        return RedirectResponse(f"{CONSOLE}/{tenant}", 303)

    async def tenant(self, request: Request, principal: Principal, who: Operator) -> Response:
        found = await self.operators.tenant(who, _tenant_id(request))
        context = {"tenant": found.tenant, "grants": found.grants, "own_id": who.id}
        return console_page(request, principal, who, "operator_tenant.html", context)

    async def states(self, request: Request, principal: Principal, who: Operator) -> Response:
        tenant = _tenant_id(request)
        found = await self.operators.states(who, tenant)
        context: dict[str, object] = {"states": found, "tenant_id": str(tenant)}
        return console_page(request, principal, who, "operator_states.html", context)

    async def act(self, request: Request, principal: Principal, who: Operator) -> Response:
        """Suspend, resume, delete or restore a tenant: the form says which."""
        del principal
        tenant, form = _tenant_id(request), await read_form(request)
        match form.get("act"):
            case "suspend":
                await self.changes.suspend(who, tenant)
            case "resume":
                await self.changes.resume(who, tenant)
            case "restore":
                await self.changes.restore(who, tenant)
            case "delete":
                body = DeleteTenantBody(name=form.get("name", ""))
                await self.changes.delete(who, tenant, body.name, body.grace_days)
            case _:
                raise Malformed("suspend, resume, delete or restore")
        return RedirectResponse(f"{CONSOLE}/{tenant}", 303)

    async def export_tenant(
        self, request: Request, principal: Principal, who: Operator
    ) -> Response:
        del principal
        return await stream_export(self.export, who, _tenant_id(request))

    async def ask(self, request: Request, principal: Principal, who: Operator) -> Response:
        del principal
        tenant, form = _tenant_id(request), await read_form(request)
        scopes = [scope for scope in ("telemetry", "secrets", "metadata") if scope in form]
        try:
            body = AskBody.model_validate(
                {
                    "kind": form.get("kind", "approval"),
                    "scopes": scopes,
                    "ticket": form.get("ticket", "").strip(),
                    "seconds": int(form.get("minutes", "")) * 60,
                }
            )
        except (ValidationError, ValueError):
            raise Malformed(
                "choose what to see, a ticket, and 5 minutes to 7 days (a broken glass: 4 hours)"
            ) from None
        await self.changes.ask(who, tenant, body)
        return RedirectResponse(f"{CONSOLE}/{tenant}", 303)

    async def break_glass(self, request: Request, principal: Principal, who: Operator) -> Response:
        del principal
        tenant = _tenant_id(request)
        grant = parse_id(request.path_params["grant_id"], "grant_id")
        await self.changes.break_glass(who, tenant, grant)
        return RedirectResponse(f"{CONSOLE}/{tenant}", 303)

    async def requests(self, request: Request, principal: Principal, who: Operator) -> Response:
        context = {"grants": await self.operators.requests(who), "own_id": who.id}
        return console_page(request, principal, who, "operator_requests.html", context)

    async def devices(self, request: Request, principal: Principal, who: Operator) -> Response:
        text = request.query_params.get("text", "").strip()[:100]
        found = await self.operators.devices(who, text) if len(text) > 1 else []
        context: dict[str, object] = {"devices": found, "text": text}
        return console_page(request, principal, who, "operator_devices.html", context)

    async def health(self, request: Request, principal: Principal, who: Operator) -> Response:
        context = {"health": await self.operators.health(who)}
        return console_page(request, principal, who, "operator_health.html", context)

    async def audit(self, request: Request, principal: Principal, who: Operator) -> Response:
        context = await self.trail.context(request, who)
        return console_page(request, principal, who, "operator_audit.html", context)

    async def export_audit(self, request: Request, principal: Principal, who: Operator) -> Response:
        del principal
        return await self.trail.file(request, who)


def console_page(
    request: Request, principal: Principal, who: Operator, template: str, context: dict[str, Any]
) -> Response:
    may_write = Role.OPERATOR_ADMIN in principal.roles
    shared = {"reason": who.reason, "may_write": may_write, "here": request.url.path}
    return rendering.page(request, template, {**shared, **context})


def _ask_why(request: Request) -> Response:
    return RedirectResponse(f"{REASON}?{urlencode({'next': _back_to(request)})}", 303)


def _back_to(request: Request) -> str:
    """Give the page to come back to: the one asked for, or the tenant's that a form was on."""
    if request.method == "GET":
        query = f"?{request.url.query}" if request.url.query else ""
        return local_path(request.url.path + query)
    tenant = request.path_params.get("tenant_id")
    return f"{CONSOLE}/{tenant}" if tenant else CONSOLE


def _tenant_id(request: Request) -> UUID:
    try:
        return parse_id(request.path_params["tenant_id"], "tenant_id")
    except Malformed:
        raise NotFound("no such tenant") from None
