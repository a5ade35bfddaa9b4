"""The pages about a person's own sessions: where they are signed in, and the way to end what is not theirs any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from pulse_common.errors import Malformed, NotFound
from pulse_common.ids import parse_id
from ui_iot import people, rendering
from ui_iot.browsers import name_browser

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database
    from ui_iot.callers import Callers
    from ui_iot.endings import Endings
    from ui_iot.sessions import Session

CONFIRM_PATH = "/sessions/end-others"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPages:
    db: Database
    endings: Endings
    callers: Callers

    async def show(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = await people.find_viewer(self.db, principal)
        return rendering.page(request, "sessions.html", await self._context(request, principal))

    async def end(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = await people.find_viewer(self.db, principal)
        visit = self.callers.visit_of(request)
        await self.endings.end_own(principal, _session_id(request), current_session(request), visit)
        return RedirectResponse("/sessions", 303)

    async def confirm_end_others(self, request: Request, principal: Principal) -> Response:
        """Ask once more; here also comes back who had to log in again first."""
        request.state.viewer = await people.find_viewer(self.db, principal)
        self.callers.require_recent(principal, CONFIRM_PATH)
        context = await self._context(request, principal)
        return rendering.page(request, "sessions_end_others.html", context)

    async def end_others(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = await people.find_viewer(self.db, principal)
        self.callers.require_recent(principal, CONFIRM_PATH)
        visit = self.callers.visit_of(request)
        await self.endings.end_others(principal, current_session(request), visit)
        return RedirectResponse("/sessions", 303)

    async def _context(self, request: Request, principal: Principal) -> dict[str, object]:
        current = current_session(request)
        own = None if current is None else current.session_id
        rows = await self.endings.list_own(principal)
        shown = [
            {
                "id": str(row.session_id),
                "browser": name_browser(row.user_agent),
                "user_agent": row.user_agent or "",
                "address": row.address,
                "began_at": row.created_at,
                "last_used_at": row.last_used_at,
                "current": row.session_id == own,
            }
            for row in rows
        ]
        others = sum(not session["current"] for session in shown)
        return {"sessions": shown, "others": others}


def current_session(request: Request) -> Session | None:
    """Return the session that a browser asks with; None for an API client's token."""
    session: Session | None = getattr(request.state, "session", None)
    return session


def _session_id(request: Request) -> UUID:
    try:
        return parse_id(request.path_params["session_id"], "session_id")
    except Malformed:
        # On a page a mistyped address is simply nothing.
        raise NotFound("no such session") from None
