"""The authorization endpoint and the log-in form: from a client's request to a code in a redirect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import structlog
from authlib.common.urls import add_params_to_uri
from authlib.oauth2 import OAuth2Error
from starlette.responses import RedirectResponse, Response

from pulse_local.idp import cookies, passwords
from pulse_local.idp.pages import error_page, log_in_page
from pulse_local.idp.parameters import BadParameters, read_form, read_query
from pulse_local.idp.server import ProtocolRequest
from pulse_local.idp.settings import REALM_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from pulse_local.idp.codes import LogIn, LogIns
    from pulse_local.idp.server import ProtocolServer
    from pulse_local.idp.sessions import Session
    from pulse_local.idp.throttle import Throttle

ACTION = f"{REALM_PATH}/login-actions/authenticate"
WRONG = "Invalid username or password."
SLOW_DOWN = "Too many failed attempts. Wait a minute, then try again."
EXPIRED = "Your sign-in took too long, began in another browser, or cookies are blocked. Please start again."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogInPages:
    server: ProtocolServer
    log_ins: LogIns
    throttle: Throttle
    clock: Callable[[], float]

    async def authorize(self, request: Request) -> Response:
        """Judge a client's request, then answer with a code, the form, or an error in its right place."""
        try:
            parameters = read_query(request)
        except BadParameters as error:
            return self._error(str(error))
        refusal = self._refusal(parameters)
        if refusal is not None:
            return refusal
        session = self.server.sessions.by_cookie(cookies.read(request, cookies.IDENTITY))
        if session is not None and self._is_recent_enough(session, parameters):
            return self._grant(parameters, session)
        if "none" in parameters.get("prompt", "").split():
            return self._redirect_error(parameters, "login_required")
        browser = cookies.read(request, cookies.BROWSER) or cookies.new_value()
        session_code = self.log_ins.begin(parameters, browser)
        page = log_in_page(action=self._action(session_code))
        cookies.write(page, cookies.BROWSER, browser)
        return page

    async def authenticate(self, request: Request) -> Response:
        """Check the posted name and password of a log-in that this browser began."""
        try:
            session_code = read_query(request).get("session_code", "")
            form = await read_form(request)
        except BadParameters as error:
            return self._error(str(error))
        # The cookie already binds the form to its browser; this keeps other sites' forms out as well.
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return self._error("This form was sent from another site.", 403)
        log_in = self.log_ins.find(session_code, cookies.read(request, cookies.BROWSER))
        if log_in is None:
            return self._error(EXPIRED)
        return await self._try(request, session_code, log_in, form)

    async def _try(
        self, request: Request, session_code: str, log_in: LogIn, form: Mapping[str, str]
    ) -> Response:
        username, action = form.get("username", ""), self._action(session_code)
        if not self.throttle.begin(username):
            log.warning("log_in_throttled")
            return log_in_page(action=action, username=username, problem=SLOW_DOWN, status=429)
        user = self.server.realm.find_user(username)
        right = await passwords.matches(form.get("password", ""), user.password if user else None)
        if user is None or not right:
            log.info("log_in_failed", known=user is not None)
            return log_in_page(action=action, username=username, problem=WRONG)
        self.throttle.forgive(username)
        if self.log_ins.find(session_code, log_in.browser) is None:
            return self._error(EXPIRED)  # the same form, sent twice: the other one was first
        self.log_ins.finish(session_code)
        session, cookie = self.server.sessions.log_in(user, cookies.read(request, cookies.IDENTITY))
        log.info("log_in_succeeded", subject=user.subject, session_id=session.id)
        response = self._grant(log_in.parameters, session)
        cookies.write(response, cookies.IDENTITY, cookie)
        return response

    def _refusal(self, parameters: Mapping[str, str]) -> Response | None:
        """Return the answer to a request that may not go on, None for a good one."""
        try:
            self.server.judge(self._request(parameters))
        except OAuth2Error as error:
            if getattr(error, "redirect_uri", None) != self.server.realm.client.redirect_uri:
                # Nobody vouches for the address: never a redirect (RFC 9700, 4.11).
                return self._error(f"Invalid request: {error.description or error.error}")
            return self._redirect_error(parameters, error.error or "", error.description or "")
        if not {"request", "request_uri"}.isdisjoint(parameters):
            return self._redirect_error(parameters, "request_not_supported")
        if parameters.get("response_mode", "query") != "query":
            return self._redirect_error(parameters, "invalid_request", "unsupported response_mode")
        if not parameters.get("max_age", "0").isdecimal():
            return self._redirect_error(parameters, "invalid_request", "max_age is not a number")
        return None

    def _is_recent_enough(self, session: Session, parameters: Mapping[str, str]) -> bool:
        if "login" in parameters.get("prompt", "").split():
            return False
        if "max_age" not in parameters:
            return True
        return self.clock() - session.authenticated_at <= float(parameters["max_age"])

    def _grant(self, parameters: Mapping[str, str], session: Session) -> Response:
        self.server.sessions.use(session)
        return self.server.grant_code(self._request(parameters), session)

    def _redirect_error(
        self, parameters: Mapping[str, str], code: str, description: str = ""
    ) -> Response:
        """Tell the client; only for requests whose redirect URI has been found to be the client's."""
        found = {
            "error": code,
            "error_description": description,
            "state": parameters.get("state", ""),
            "iss": self.server.realm.issuer,
        }
        known = [(name, value) for name, value in found.items() if value]
        return RedirectResponse(
            add_params_to_uri(self.server.realm.client.redirect_uri, known), 302
        )

    def _request(self, parameters: Mapping[str, str]) -> ProtocolRequest:
        return ProtocolRequest("GET", parameters, {})

    def _action(self, session_code: str) -> str:
        query = {"session_code": session_code, "client_id": self.server.realm.client.client_id}
        return f"{ACTION}?{urlencode(query)}"

    def _error(self, message: str, status: int = 400) -> Response:
        return error_page(message, self.server.realm.client.post_logout_uri, status)
