"""Log-in and log-out: out to the identity provider and back, bound to the browser that began it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import structlog
from starlette.responses import RedirectResponse, Response

from pulse_common.errors import AppError, Forbidden, Malformed, Unauthenticated
from pulse_common.jwt import LEEWAY_SECONDS
from ui_iot import cookies, people, rendering, step_up
from ui_iot.domain import HOME, local_path
from ui_iot.front_door import TenantShut
from ui_iot.oidc import LoginAttempt
from ui_iot.sessions import ABSOLUTE_LIFE

if TYPE_CHECKING:
    from starlette.requests import Request

    from pulse_common.audit_actions import Action
    from pulse_common.clock import Clock
    from pulse_common.http import OnRefused
    from pulse_common.identity import Principal
    from pulse_common.jwt import IdClaims, JwtVerifier
    from ui_iot.front_door import FrontDoor
    from ui_iot.oidc import IdentityProvider, Tokens
    from ui_iot.sessions import Session, Sessions
    from ui_iot.visits import VisitOf

log = structlog.get_logger(__name__)

CONSOLE = "/operator"
_FAILED = "the log-in could not be completed; please start again"
_OPERATORS = (
    "you are an operator of Pulse and belong to no tenant; what you may do is in the operators' console. "
    "Log out to continue as somebody else"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    provider: IdentityProvider
    sessions: Sessions
    door: FrontDoor
    verifier: JwtVerifier
    sealed: cookies.SealedCookies
    visit_of: VisitOf
    on_refused: OnRefused
    clock: Clock

    async def welcome(self, request: Request) -> Response:
        if cookies.SESSION in request.cookies:
            return RedirectResponse("/devices", 303)
        return rendering.page(request, "welcome.html", {})

    async def begin(self, request: Request) -> Response:
        """Send the browser to the identity provider and remember, in it, what must come back."""
        attempt = LoginAttempt.begin()
        fresh = request.query_params.get("step_up") == "1"
        url = self.provider.step_up_url(attempt) if fresh else self.provider.login_url(attempt)
        response = RedirectResponse(url, 303)
        value = {
            "step_up": self.clock().isoformat() if fresh else "",
            "state": attempt.state,
            "nonce": attempt.nonce,
            "verifier": attempt.verifier,
            "next": local_path(request.query_params.get("next")),
            # Kept here because on the way back, from another site, a Strict cookie may not come along.
            "previous": request.cookies.get(cookies.SESSION, ""),
        }
        self.sealed.set(response, cookies.LOGIN, value, cookies.LOGIN_SECONDS)
        return response

    async def finish(self, request: Request) -> Response:
        """Take the authorization response, open a session, and lead on.

        The page leads on by itself: after a redirect from another site the browser would not send a Strict cookie.
        """
        began = await self._began(request)
        code = await self._code(request)
        try:
            tokens = await self.provider.redeem(code, began["verifier"])
            found = await self._check_id_token(tokens, began["nonce"])
            _require_fresh(found, began["step_up"], self.provider.step_up_acr)
            leads_to = await self._admitted(request, tokens, began["next"])
            previous = request.cookies.get(cookies.SESSION) or began["previous"] or None
            action: Action = "session.step_up" if began["step_up"] else "session.begin"
            value = await self.sessions.begin(tokens, previous, self.visit_of(request), action)
        except Unauthenticated as error:
            # A 401 would lead to the log-in again, where a person who is known comes straight back: a loop.
            raise await self._refused(request, error.reason or "code") from error
        response = rendering.page(request, "signed_in.html", {"next": local_path(leads_to)})
        cookies.set_session(response, value, int(ABSOLUTE_LIFE.total_seconds()))
        cookies.clear(response, cookies.LOGIN)
        return response

    async def log_out(self, request: Request, _: Principal) -> Response:
        session: Session | None = getattr(request.state, "session", None)
        if session is None:
            raise Malformed("an access token has no session here to end")
        await self.sessions.end(session, self.visit_of(request))
        response = RedirectResponse(self.provider.logout_url(session.id_token), 303)
        cookies.clear(response, cookies.SESSION)
        response.headers["clear-site-data"] = '"cache", "storage"'
        return response

    async def _began(self, request: Request) -> dict[str, str]:
        """Return the log-in that this browser began and that this response belongs to (RFC 9700, 4.7)."""
        began = self.sealed.get(request, cookies.LOGIN)
        if began is None:
            raise await self._refused(request, "not_begun")
        state = request.query_params.get("state", "").encode("utf-8", "replace")
        if not hmac.compare_digest(state, began["state"].encode()):
            raise await self._refused(request, "state")
        return began

    async def _code(self, request: Request) -> str:
        query = request.query_params
        # RFC 9207: an answer of another issuer must not be redeemed at ours.
        if query.get("iss", self.provider.issuer) != self.provider.issuer:
            raise await self._refused(request, "issuer")
        if "code" not in query:
            log.info("login_refused_by_provider", error=query.get("error", "")[:60])
            raise await self._refused(request, "provider")
        return query["code"]

    async def _admitted(self, request: Request, tokens: Tokens, wanted: str) -> str:
        """Return the path that the log-in leads to."""
        principal = await self.verifier.verify(tokens.access_token)
        try:
            return await self.door.admit(principal, self.visit_of(request), wanted)
        except TenantShut:
            # Else the identity provider takes whoever tries again as somebody else for the same person.
            await self.provider.revoke(tokens.refresh_token)
            raise

    async def _check_id_token(self, tokens: Tokens, nonce: str) -> IdClaims:
        return await self.verifier.verify_id_token(tokens.id_token, nonce, self.provider.client_id)

    async def _refused(self, request: Request, reason: str) -> Forbidden:
        """Record a log-in that failed, and return what its browser is told: one answer for all reasons."""
        log.warning("login_failed", reason=reason)
        await self.on_refused(request, Unauthenticated(_FAILED, f"login_{reason}"))
        return Forbidden(_FAILED)


def _require_fresh(claims: IdClaims, asked_at: str, acr: str) -> None:
    """Refuse a step-up that the identity provider answered without a new log-in, or on a lower level.

    OpenID Connect Core, 3.1.2.1.
    """
    if not asked_at:
        return
    earliest = datetime.fromisoformat(asked_at) - timedelta(seconds=LEEWAY_SECONDS)
    if claims.authenticated_at is None or claims.authenticated_at < earliest:
        raise Unauthenticated(_FAILED, "not_fresh")
    if acr and claims.authentication_class != acr:
        raise Unauthenticated(_FAILED, "low_acr")


def on_error(request: Request, error: AppError) -> Response | None:
    """Lead a signed-out browser to the log-in and back; everything else gets a page or a problem document."""
    if isinstance(error, step_up.StepUpRequired):
        return step_up.answer(request, error)
    asks_for_page = "text/html" in request.headers.get("accept", "")
    if asks_for_page and isinstance(error, Forbidden) and _is_operator_at_home(request):
        return RedirectResponse(f"{CONSOLE}/tenants", 303)
    if not (isinstance(error, Unauthenticated) and asks_for_page and request.method == "GET"):
        return rendering.error_page(request, _explained(request, error))
    if "hx-request" in request.headers:
        return None  # the page's script sees the 401 and loads the whole page anew
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    response = RedirectResponse("/auth/login?" + urlencode({"next": local_path(wanted)}), 303)
    cookies.clear(response, cookies.SESSION)
    return response


def _is_operator_at_home(request: Request) -> bool:
    """A log-in leads to the devices, of which an operator has none."""
    session: Session | None = getattr(request.state, "session", None)
    return session is not None and session.principal.is_operator and request.url.path == HOME


def _explained(request: Request, error: AppError) -> AppError:
    """Give whoever is signed in a way out of an error page, and operators the reason."""
    session: Session | None = getattr(request.state, "session", None)
    if session is None:
        return error
    if getattr(request.state, "viewer", None) is None:
        request.state.viewer = people.stranger(session.principal)
    on_console = request.url.path.startswith(CONSOLE)
    if isinstance(error, Forbidden) and session.principal.is_operator and not on_console:
        return Forbidden(_OPERATORS)
    return error
