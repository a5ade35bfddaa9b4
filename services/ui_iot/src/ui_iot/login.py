"""Log-in and log-out: out to the identity provider and back, bound to the browser that began it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import structlog
from starlette.responses import RedirectResponse, Response

from pulse_common.errors import AppError, Forbidden, Unauthenticated
from ui_iot import cookies, rendering
from ui_iot.domain import local_path
from ui_iot.oidc import LoginAttempt
from ui_iot.sessions import ABSOLUTE_LIFE

if TYPE_CHECKING:
    from starlette.requests import Request

    from pulse_common.identity import Principal
    from pulse_common.jwt import JwtVerifier
    from ui_iot.oidc import IdentityProvider, Tokens
    from ui_iot.sessions import Sessions

log = structlog.get_logger(__name__)

_FAILED = "the log-in could not be completed; please start again"


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
        }
        self.sealed.set(response, cookies.LOGIN, value, cookies.LOGIN_SECONDS)
        response.headers["cache-control"] = "no-store"
        return response

    async def finish(self, request: Request) -> Response:
        """Take the authorization response, open a session, and lead on.

        The page leads on by itself: after a redirect from another site the browser would not send a Strict cookie.
        """
        began = self.sealed.get(request, cookies.LOGIN)
        code = self._code_for(request, began)
        assert began is not None
        tokens = await self.provider.redeem(code, began["verifier"])
        await self._check_id_token(tokens, began["nonce"])
        address = request.client.host if request.client else None
        value = await self.sessions.begin(tokens, request.cookies.get(cookies.SESSION), address)
        response = rendering.page(request, "signed_in.html", {"next": local_path(began["next"])})
        cookies.set_session(response, value, int(ABSOLUTE_LIFE.total_seconds()))
        cookies.clear(response, cookies.LOGIN)
        return response

    async def log_out(self, request: Request, _: Principal) -> Response:
        address = request.client.host if request.client else None
        id_token = await self.sessions.end(request.cookies.get(cookies.SESSION, ""), address)
        response = RedirectResponse(self.provider.logout_url(id_token) if id_token else "/", 303)
        cookies.clear(response, cookies.SESSION)
        response.headers["clear-site-data"] = '"cache", "storage"'
        return response

    def _code_for(self, request: Request, began: dict[str, str] | None) -> str:
        """Return the code when the response belongs to a log-in that this browser began (RFC 9700, 4.7)."""
        query = request.query_params
        state = query.get("state", "")
        if began is None or not hmac.compare_digest(
            state.encode("utf-8", "replace"), began["state"].encode()
        ):
            raise Forbidden(_FAILED)
        # RFC 9207: an answer of another issuer must not be redeemed at ours.
        if query.get("iss", self.provider.issuer) != self.provider.issuer:
            raise Forbidden(_FAILED)
        if "code" not in query:
            log.info("login_refused_by_provider", error=query.get("error", "")[:60])
            raise Forbidden(_FAILED)
        return query["code"]

    async def _check_id_token(self, tokens: Tokens, nonce: str) -> None:
        try:
            await self.verifier.verify_id_token(tokens.id_token, nonce, self.provider.client_id)
        except Unauthenticated as error:
            log.warning("id_token_refused", reason=getattr(error, "reason", ""))
            raise Forbidden(_FAILED) from error


def on_error(request: Request, error: AppError) -> Response | None:
    """Lead a signed-out browser to the log-in and back; everything else gets a page or a problem document."""
    asks_for_page = "text/html" in request.headers.get("accept", "")
    if not (isinstance(error, Unauthenticated) and asks_for_page and request.method == "GET"):
        return rendering.error_page(request, error)
    if "hx-request" in request.headers:
        return None  # the page's script sees the 401 and loads the whole page anew
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    response = RedirectResponse("/auth/login?" + urlencode({"next": local_path(wanted)}), 303)
    cookies.clear(response, cookies.SESSION)
    return response
