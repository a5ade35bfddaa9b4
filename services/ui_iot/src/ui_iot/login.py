"""Log-in and log-out: out to the identity provider and back, bound to the browser that began it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import structlog
from starlette.responses import RedirectResponse, Response

from pulse_common.errors import AppError, Forbidden, Malformed, Unauthenticated
from ui_iot import cookies, people, rendering
from ui_iot.domain import local_path
from ui_iot.oidc import LoginAttempt
from ui_iot.sessions import ABSOLUTE_LIFE

if TYPE_CHECKING:
    from starlette.requests import Request

    from pulse_common.identity import Principal
    from pulse_common.jwt import JwtVerifier
    from ui_iot.oidc import IdentityProvider, Tokens
    from ui_iot.sessions import Session, Sessions

log = structlog.get_logger(__name__)

_FAILED = "the log-in could not be completed; please start again"
_OPERATORS = (
    "you are an operator of Pulse and belong to no tenant, so there are no devices to show; "
    "the operators' console comes later. Log out to continue as somebody else"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    provider: IdentityProvider
    sessions: Sessions
    verifier: JwtVerifier
    sealed: cookies.SealedCookies

    async def welcome(self, request: Request) -> Response:
        if cookies.SESSION in request.cookies:
            return RedirectResponse("/devices", 303)
        return rendering.page(request, "welcome.html", {})

    async def begin(self, request: Request) -> Response:
        """Send the browser to the identity provider and remember, in it, what must come back."""
        attempt = LoginAttempt.begin()
        response = RedirectResponse(self.provider.login_url(attempt), 303)
        value = {
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
        began = self._began(request)
        code = self._code(request)
        try:
            tokens = await self.provider.redeem(code, began["verifier"])
            await self._check_id_token(tokens, began["nonce"])
            previous = request.cookies.get(cookies.SESSION) or began["previous"] or None
            value = await self.sessions.begin(tokens, previous, _address(request))
        except Unauthenticated as error:
            # A 401 would lead to the log-in again, where a person who is known comes straight back: a loop.
            log.warning("login_failed", reason=getattr(error, "reason", error.message))
            raise Forbidden(_FAILED) from error
        response = rendering.page(request, "signed_in.html", {"next": local_path(began["next"])})
        cookies.set_session(response, value, int(ABSOLUTE_LIFE.total_seconds()))
        cookies.clear(response, cookies.LOGIN)
        return response

    async def log_out(self, request: Request, _: Principal) -> Response:
        session: Session | None = getattr(request.state, "session", None)
        if session is None:
            raise Malformed("an access token has no session here to end")
        await self.sessions.end(session, _address(request))
        response = RedirectResponse(self.provider.logout_url(session.id_token), 303)
        cookies.clear(response, cookies.SESSION)
        response.headers["clear-site-data"] = '"cache", "storage"'
        return response

    def _began(self, request: Request) -> dict[str, str]:
        """Return the log-in that this browser began and that this response belongs to (RFC 9700, 4.7)."""
        began = self.sealed.get(request, cookies.LOGIN)
        if began is None:
            raise Forbidden(_FAILED)
        state = request.query_params.get("state", "").encode("utf-8", "replace")
        if not hmac.compare_digest(state, began["state"].encode()):
            raise Forbidden(_FAILED)
        return began

    def _code(self, request: Request) -> str:
        query = request.query_params
        # RFC 9207: an answer of another issuer must not be redeemed at ours.
        if query.get("iss", self.provider.issuer) != self.provider.issuer:
            raise Forbidden(_FAILED)
        if "code" not in query:
            log.info("login_refused_by_provider", error=query.get("error", "")[:60])
            raise Forbidden(_FAILED)
        return query["code"]

    async def _check_id_token(self, tokens: Tokens, nonce: str) -> None:
        await self.verifier.verify_id_token(tokens.id_token, nonce, self.provider.client_id)


def _address(request: Request) -> str | None:
    return request.client.host if request.client else None


def on_error(request: Request, error: AppError) -> Response | None:
    """Lead a signed-out browser to the log-in and back; everything else gets a page or a problem document."""
    asks_for_page = "text/html" in request.headers.get("accept", "")
    if not (isinstance(error, Unauthenticated) and asks_for_page and request.method == "GET"):
        return rendering.error_page(request, _explained(request, error))
    if "hx-request" in request.headers:
        return None  # the page's script sees the 401 and loads the whole page anew
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    response = RedirectResponse("/auth/login?" + urlencode({"next": local_path(wanted)}), 303)
    cookies.clear(response, cookies.SESSION)
    return response


def _explained(request: Request, error: AppError) -> AppError:
    """Give whoever is signed in a way out of an error page, and operators the reason."""
    session: Session | None = getattr(request.state, "session", None)
    if session is None:
        return error
    if getattr(request.state, "viewer", None) is None:
        request.state.viewer = people.stranger(session.principal)
    if isinstance(error, Forbidden) and session.principal.is_operator:
        return Forbidden(_OPERATORS)
    return error
