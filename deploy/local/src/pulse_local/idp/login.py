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
from pulse_local.idp.pages import error_page, log_in_page, proof_page
from pulse_local.idp.parameters import BadParameters, read_form, read_query
from pulse_local.idp.server import ProtocolRequest
from pulse_local.idp.settings import REALM_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from pulse_local.idp.codes import LogIn, LogIns
    from pulse_local.idp.people import Person
    from pulse_local.idp.server import ProtocolServer
    from pulse_local.idp.sessions import Session
    from pulse_local.idp.throttle import Throttle

ACTION = f"{REALM_PATH}/login-actions/authenticate"
WRONG = "Invalid username or password."
DISABLED = "Account is disabled, contact your administrator."
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
        if self._known(request) and session and self._is_recent_enough(session, parameters):
            return self._grant(parameters, session)
        if "none" in parameters.get("prompt", "").split():
            return self._redirect_error(parameters, "login_required")
        browser = cookies.read(request, cookies.BROWSER) or cookies.new_value()
        session_code = self.log_ins.begin(parameters, browser)
        page = self._form(self._action(session_code), self._known(request))
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
        action, known = self._action(session_code), self._known(request)
        # Who is in an open session proves it anew as themselves, whatever name the form holds.
        username = known.username if known else form.get("username", "")
        # A locked name hears what everybody hears: a guesser is not told that waiting would help.
        allowed = self.throttle.begin(username)
        person = self.server.realm.people.by_username(username)
        right = allowed and await passwords.matches(
            form.get("password", ""), person.password if person else None
        )
        if person is None or not right:
            log.info("log_in_failed", known=person is not None, locked=not allowed)
            return self._form(action, known, username=username, problem=WRONG)
        self.throttle.forgive(username)
        if not person.enabled:
            return self._form(action, known, username=username, problem=DISABLED)
        if self.log_ins.find(session_code, log_in.browser) is None:
            return self._error(EXPIRED)  # the same form, sent twice: the other one was first
        self.log_ins.finish(session_code)
        return self._open(request, log_in, person)

    def _open(self, request: Request, log_in: LogIn, person: Person) -> Response:
        cookie = cookies.read(request, cookies.IDENTITY)
        session, cookie = self.server.sessions.log_in(person.subject, cookie)
        if _wants_second_level(log_in.parameters):
            # There is no second factor here: the password proved just now stands for it.
            session = self.server.sessions.raise_level(session)
        log.info("log_in_succeeded", subject=person.subject, session_id=session.id)
        response = self._grant(log_in.parameters, session)
        cookies.write(response, cookies.IDENTITY, cookie)
        return response

    def _known(self, request: Request) -> Person | None:
        session = self.server.sessions.by_cookie(cookies.read(request, cookies.IDENTITY))
        person = self.server.realm.people.find(session.subject) if session else None
        return person if person and person.enabled else None

    def _form(
        self, action: str, known: Person | None, *, username: str = "", problem: str = ""
    ) -> Response:
        if known is not None:
            return proof_page(action=action, username=known.username, problem=problem)
        return log_in_page(action=action, username=username, problem=problem)

    def _refusal(self, parameters: Mapping[str, str]) -> Response | None:
        """Return the answer to a request that may not go on, None for a good one."""
        if not {"request", "request_uri"}.isdisjoint(parameters):
            return self._error("Invalid request: request objects are not supported.")
        if not parameters.get("max_age", "0").isdecimal():
            return self._error("Invalid request: max_age is not a number.")
        try:
            self.server.judge(self._request(parameters))
        except OAuth2Error as error:
            if getattr(error, "redirect_uri", None) != self.server.realm.client.redirect_uri:
                # Nobody vouches for the address: never a redirect (RFC 9700, 4.11).
                return self._error(f"Invalid request: {error.description or error.error}")
            code = (error.error or "") if "response_type" in parameters else "invalid_request"
            return self._redirect_error(parameters, code, error.description or "")
        if parameters.get("response_mode", "query") != "query":
            return self._redirect_error(parameters, "invalid_request", "unsupported response_mode")
        return None

    def _is_recent_enough(self, session: Session, parameters: Mapping[str, str]) -> bool:
        if "login" in parameters.get("prompt", "").split():
            return False
        if _wants_second_level(parameters) and self.server.sessions.level(session) != "2":
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


def _wants_second_level(parameters: Mapping[str, str]) -> bool:
    return "2" in parameters.get("acr_values", "").split()
