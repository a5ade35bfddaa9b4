"""The JSON API about who asks, and about their sessions; the same rules as the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from pulse_common.ids import parse_id
from ui_iot import people
from ui_iot import session_models as models
from ui_iot.browsers import name_browser
from ui_iot.session_pages import CONFIRM_PATH, current_session

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.requests import Request

    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database
    from ui_iot.callers import Callers
    from ui_iot.endings import Endings
    from ui_iot.session_store import SessionRow
    from ui_iot.sessions import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionApi:
    db: Database
    endings: Endings
    callers: Callers

    async def who(self, request: Request, principal: Principal) -> Response:
        viewer = await people.find_viewer(self.db, principal)
        tenant = principal.tenant
        shown = models.WhoAnswer(
            name=viewer.name,
            email=viewer.email,
            tenant=models.TenantOfCaller(id=tenant, name=viewer.tenant_name) if tenant else None,
            roles=sorted(principal.roles),
        )
        response = _json(shown)
        session = current_session(request)
        if session is not None:
            response.headers["x-csrf-token"] = session.csrf_token
        return response

    async def sessions(self, request: Request, principal: Principal) -> Response:
        await people.find_viewer(self.db, principal)
        current = current_session(request)
        rows = await self.endings.list_own(principal)
        return _json(models.SessionsAnswer(sessions=[_show(row, current) for row in rows]))

    async def end(self, request: Request, principal: Principal) -> Response:
        await people.find_viewer(self.db, principal)
        session_id = parse_id(request.path_params["session_id"], "session_id")
        visit = self.callers.visit_of(request)
        await self.endings.end_own(principal, session_id, current_session(request), visit)
        return _json(models.EndedAnswer(ended=1))

    async def end_others(self, request: Request, principal: Principal) -> Response:
        await people.find_viewer(self.db, principal)
        self.callers.require_recent(principal, CONFIRM_PATH)
        visit = self.callers.visit_of(request)
        ended = await self.endings.end_others(principal, current_session(request), visit)
        return _json(models.EndedAnswer(ended=ended))


def _show(row: SessionRow, current: Session | None) -> models.SessionAnswer:
    return models.SessionAnswer(
        id=row.session_id,
        browser=name_browser(row.user_agent),
        address=row.address,
        began_at=row.created_at,
        last_used_at=row.last_used_at,
        current=current is not None and row.session_id == current.session_id,
    )


def _json(shown: BaseModel) -> Response:
    return Response(shown.model_dump_json(), media_type="application/json")
