"""The pages of alerts: what is raised and was, the rules, and a rule's form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import uuid5

from starlette.responses import RedirectResponse, Response

from pulse_common.errors import Conflict, LimitReached, Malformed, NotFound, Stale
from pulse_common.http import Endpoint, Guarded
from pulse_common.ids import new_id, parse_id
from ui_iot import alert_forms, group_store, people, rendering
from ui_iot import alert_models as models
from ui_iot.forms import read_form
from ui_iot.operations import read_query
from ui_iot.people import ADMINISTRATORS, EVERYBODY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.errors import AppError
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Row
    from ui_iot.alert_work import AlertWork

RULE = "/alerts/rules/{rule_id}"
MOST_CHOICES = 500
_REFUSED = (Conflict, LimitReached, Malformed, Stale)


def alert_pages(pages: AlertPages) -> list[Endpoint]:
    listed = [
        ("GET", "/alerts", EVERYBODY, pages.index),
        ("POST", "/alerts/{alert_id}/acknowledge", EVERYBODY, pages.acknowledge),
        ("GET", "/alerts/rules/new", ADMINISTRATORS, pages.new),
        ("POST", "/alerts/rules", ADMINISTRATORS, pages.create),
        ("GET", RULE, ADMINISTRATORS, pages.edit),
        ("POST", RULE, ADMINISTRATORS, pages.change),
        ("POST", f"{RULE}/delete", ADMINISTRATORS, pages.delete),
    ]
    return [
        Guarded(method=method, path=path, roles=roles, handler=handler)
        for method, path, roles, handler in listed
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPages:
    work: AlertWork

    async def index(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.AlertsQuery)
        request.state.viewer = await people.find_viewer(self.work.db, principal)
        state = query.state or "open"
        found = await self.work.alerts(principal, query.model_copy(update={"state": state}))
        older = urlencode({"state": state, "after": found.next_after}) if found.next_after else None
        context: dict[str, object] = {
            "alerts": found.alerts,
            "state": state,
            "older": older,
            "rules": await self.work.rules(principal),
        }
        return rendering.page(request, "alerts.html", context)

    async def acknowledge(self, request: Request, principal: Principal) -> Response:
        await self.work.acknowledge(principal, _id(request, "alert_id"))
        return RedirectResponse("/alerts", 303)

    async def new(self, request: Request, principal: Principal) -> Response:
        filled = dict(alert_forms.BLANK)
        return await self._form(request, principal, None, filled, key=str(new_id()))

    async def create(self, request: Request, principal: Principal) -> Response:
        """Make a rule; its id comes of the form's own key, so that a form that is sent twice makes one."""
        form = await read_form(request)
        filled, key = alert_forms.of_form(form), form.get("key", "")
        rule_id = uuid5(people.tenant_of(principal), key)
        try:
            await self.work.create(principal, rule_id, alert_forms.read(filled, None))
        except _REFUSED as refused:
            return await self._form(request, principal, None, filled, key=key, error=refused)
        return RedirectResponse("/alerts", 303)

    async def edit(self, request: Request, principal: Principal) -> Response:
        rule = await self.work.find_rule(principal, _id(request, "rule_id"))
        return await self._form(request, principal, rule, alert_forms.of_rule(rule))

    async def change(self, request: Request, principal: Principal) -> Response:
        rule = await self.work.find_rule(principal, _id(request, "rule_id"))
        form = await read_form(request)
        filled, version = alert_forms.of_form(form), form.get("version", "")
        try:
            if not version.isdecimal():
                raise Malformed("the form cannot be read")
            wanted = alert_forms.read(filled, rule)
            await self.work.change(principal, rule["id"], wanted, int(version))
        except _REFUSED as refused:
            return await self._form(request, principal, rule, filled, error=refused)
        return RedirectResponse("/alerts", 303)

    async def delete(self, request: Request, principal: Principal) -> Response:
        rule = await self.work.find_rule(principal, _id(request, "rule_id"))
        await self.work.delete(principal, rule["id"])
        return RedirectResponse("/alerts", 303)

    async def _form(
        self,
        request: Request,
        principal: Principal,
        rule: Row | None,
        filled: Mapping[str, Any],
        *,
        key: str = "",
        error: AppError | None = None,
    ) -> Response:
        async with self.work.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            groups = await group_store.list_groups(tx)
            devices = await group_store.list_names(tx, MOST_CHOICES)
        choices = [("all", "Every device")]
        choices += [(f"group:{one['id']}", f"Group: {one['name']}") for one in groups]
        choices += [(f"device:{one['id']}", f"Device: {one['name']}") for one in devices]
        if filled["scope"] not in dict(choices) and rule is not None:
            choices.append(("as_it_is", "As it is: several, or one that is not listed"))
            filled = {**filled, "scope": "as_it_is"}
        context: dict[str, object] = {
            "rule": rule,
            "filled": filled,
            "choices": choices,
            "key": key,
            "error": None if error is None else error.message,
        }
        return rendering.page(request, "alert_rule.html", context, error.status if error else 200)


def _id(request: Request, name: str) -> UUID:
    try:
        return parse_id(request.path_params[name], name)
    except Malformed:
        # On a page a mistyped address is simply nothing.
        raise NotFound("there is nothing here") from None
