"""Who is calling: a browser with a session, or an API client with an access token.

A bearer token wins and the cookie is ignored with it.  A session needs proof, on every unsafe method, that the request
comes from one of our own pages: the session's CSRF token, and no sign of another origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pulse_common.errors import Forbidden, Unauthenticated
from pulse_common.http import bearer_token
from ui_iot import cookies
from ui_iot.forms import read_form
from ui_iot.step_up import StepUpRequired
from ui_iot.vault import SIGNED_OUT

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request

    from pulse_common.clock import Clock
    from pulse_common.identity import Principal, TokenVerifier
    from ui_iot.sessions import Session, Sessions
    from ui_iot.visits import VisitOf

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    sessions: Sessions
    verifier: TokenVerifier
    public_url: str
    visit_of: VisitOf
    clock: Clock
    step_up_max_age_seconds: int
    step_up_acr: str = ""

    async def authenticate(self, request: Request) -> Principal:
        """Return the caller; a page finds the session in ``request.state.session``.

        Raises:
            Unauthenticated: no session and no valid token.
            Forbidden: an unsafe request that may come from another site.
        """
        token = bearer_token(request)
        if token is not None:
            request.state.access_token = token
            return await self.verifier.verify(token)
        session = await self.sessions.find(_cookie(request), self.visit_of(request))
        if request.method not in SAFE:
            await self._refuse_forgery(request, session)
        request.state.session = session
        request.state.access_token = session.access_token
        return session.principal

    async def look_at_session(self, connection: HTTPConnection) -> Session:
        """Return the session of something that runs by itself; it does not count as use.

        Raises:
            Unauthenticated, Unavailable: as ``Sessions.find``.
        """
        return await self.sessions.look(_cookie(connection))

    def is_same_origin(self, connection: HTTPConnection) -> bool:
        """Say whether a browser says that our own page asks (Fetch Metadata, and Origin where it is sent)."""
        site = connection.headers.get("sec-fetch-site", "same-origin")
        origin = connection.headers.get("origin", self.public_url)
        return site == "same-origin" and origin == self.public_url

    def require_recent(self, principal: Principal, confirm_path: str) -> None:
        """Refuse an act that a stolen session must not be enough for; ``confirm_path`` asks for it again.

        Raises:
            StepUpRequired: the person last proved who they are too long ago or not by the configured level, or no
                person ever did.
        """
        proved_at = principal.authenticated_at
        longest = timedelta(seconds=self.step_up_max_age_seconds)
        low = bool(self.step_up_acr) and principal.authentication_class != self.step_up_acr
        if proved_at is None or self.clock() - proved_at > longest or low:
            raise StepUpRequired(
                max_age_seconds=self.step_up_max_age_seconds,
                acr=self.step_up_acr,
                confirm_path=confirm_path,
            )

    async def _refuse_forgery(self, request: Request, session: Session) -> None:
        if not self.is_same_origin(request):
            raise Forbidden("the request comes from another site")
        given = request.headers.get(CSRF_HEADER)
        if given is None:
            given = (await read_form(request)).get(CSRF_FIELD, "")
        if not session.owns(given):
            raise Forbidden("the page is too old: load it again")


def _cookie(connection: HTTPConnection) -> str:
    value = connection.cookies.get(cookies.SESSION)
    if value is None:
        raise Unauthenticated(SIGNED_OUT)
    return value
