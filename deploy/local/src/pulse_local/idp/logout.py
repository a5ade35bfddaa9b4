"""Log-out begun by the client (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from authlib.common.urls import add_params_to_uri
from starlette.responses import RedirectResponse, Response

from pulse_local.idp import cookies
from pulse_local.idp.pages import error_page, render
from pulse_local.idp.parameters import BadParameters, read_form, read_query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from pulse_local.idp.back_channel import BackChannel
    from pulse_local.idp.server import ProtocolServer
    from pulse_local.idp.tokens import Claims

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LogOutPages:
    server: ProtocolServer
    back_channel: BackChannel

    async def log_out(self, request: Request) -> Response:
        """End the session that an ID token names, or ask the person when there is none."""
        posted = request.method == "POST"
        try:
            parameters = await read_form(request) if posted else read_query(request)
            claims = self._read_hint(parameters)
            client_id = self._client_of(parameters, claims)
        except BadParameters as error:
            return error_page(str(error), self.server.realm.client.post_logout_uri)
        cookie = cookies.read(request, cookies.IDENTITY)
        if claims is not None:
            return await self._finish(str(claims["sid"]), cookie, parameters)
        session = self.server.sessions.by_cookie(cookie)
        if session is None or self._is_confirmed(cookie, parameters if posted else {}):
            return await self._finish(session.id if session else "", cookie, parameters)
        return self._ask(cookie, client_id, parameters)

    def _read_hint(self, parameters: Mapping[str, str]) -> Claims | None:
        hint = parameters.get("id_token_hint", "")
        claims = self.server.minter.read_id_token(hint) if hint else None
        if hint and claims is None:
            raise BadParameters("Invalid request: id_token_hint is not one of our ID tokens.")
        return claims

    def _client_of(self, parameters: Mapping[str, str], claims: Claims | None) -> str:
        """Say whose log-out it is, having checked that the person may be sent back there."""
        client_id = parameters.get("client_id") or (str(claims["azp"]) if claims else "")
        if claims is not None and claims["azp"] != client_id:
            raise BadParameters("Invalid request: id_token_hint is another client's.")
        target = parameters.get("post_logout_redirect_uri")
        client = self.server.realm.find_client(client_id)
        if target and (client is None or target != client.post_logout_uri):
            raise BadParameters("Invalid request: post_logout_redirect_uri is not registered.")
        return client_id

    def _ask(self, cookie: str, client_id: str, parameters: Mapping[str, str]) -> Response:
        return render(
            "logout",
            title="Logging out",
            code=_confirmation(cookie),
            client_id=client_id,
            redirect_uri=parameters.get("post_logout_redirect_uri", ""),
            state=parameters.get("state", ""),
        )

    def _is_confirmed(self, cookie: str, parameters: Mapping[str, str]) -> bool:
        given = parameters.get("session_code", "").encode("utf-8", "surrogatepass")
        return hmac.compare_digest(given, _confirmation(cookie).encode())

    async def _finish(
        self, session_id: str, cookie: str, parameters: Mapping[str, str]
    ) -> Response:
        """End the session; forget the cookie unless it is of another one, which goes on."""
        other = self.server.sessions.by_cookie(cookie)
        ended = self.server.sessions.find(session_id)
        self.server.sessions.end(session_id)
        if ended is not None:
            await self.back_channel.tell(ended)
        log.info("logged_out", session_id=session_id)
        response = self._answer(parameters)
        if other is None or other.id == session_id:
            cookies.forget(response, cookies.IDENTITY)
        return response

    def _answer(self, parameters: Mapping[str, str]) -> Response:
        target = parameters.get("post_logout_redirect_uri")
        if not target:
            home = self.server.realm.client.post_logout_uri
            return render("goodbye", title="You are logged out", home=home)
        state = parameters.get("state")
        return RedirectResponse(
            add_params_to_uri(target, [("state", state)]) if state else target, 302
        )


def _confirmation(cookie: str) -> str:
    """Derive the form's proof from the session cookie, which no other site can read."""
    return hashlib.sha256(b"log out " + cookie.encode()).hexdigest()
