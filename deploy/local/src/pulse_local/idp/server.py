"""Authlib's authorization server, joined to our realm, sessions and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import AuthorizationServer
from authlib.oauth2.rfc6749.errors import InvalidGrantError
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from starlette.responses import JSONResponse, Response

from pulse_local.idp.grants import CodeGrant, RotatingRefreshGrant, S256Only, ServiceGrant
from pulse_local.idp.realm import SCOPES
from pulse_local.idp.tokens import ACCESS_SECONDS, Grant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pulse_local.idp.codes import Codes
    from pulse_local.idp.realm import Client, Realm
    from pulse_local.idp.sessions import Session, Sessions
    from pulse_local.idp.tokens import Minter


class ProtocolRequest(OAuth2Request):
    """A request as Authlib reads it: parameters that have been checked to come once each."""

    def __init__(
        self, method: str, parameters: Mapping[str, str], headers: Mapping[str, str]
    ) -> None:
        # Authlib wants https in the address; that is the edge's business, behind which we listen.
        super().__init__(method, "https://provider.invalid/", headers=headers)
        self._parameters = dict(parameters)
        self.payload = BasicOAuth2Payload(self._parameters)

    @property
    def form(self) -> dict[str, str]:
        return self._parameters


class ProtocolServer(AuthorizationServer):
    def __init__(
        self,
        *,
        realm: Realm,
        sessions: Sessions,
        codes: Codes,
        minter: Minter,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(scopes_supported=SCOPES)
        self.realm = realm
        self.sessions = sessions
        self.codes = codes
        self.minter = minter
        self.clock = clock
        self.register_grant(CodeGrant, [S256Only()])
        self.register_grant(RotatingRefreshGrant)
        self.register_grant(ServiceGrant)

    def query_client(self, client_id: str) -> Any:  # noqa: ANN401 -- a client or None, which Authlib handles
        return self.realm.find_client(client_id)

    def save_token(self, token: dict[str, str | int], request: OAuth2Request) -> None:
        """Keep nothing: access tokens stand alone, the sessions know the refresh token."""

    def create_oauth2_request(self, request: ProtocolRequest) -> OAuth2Request:
        return request

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""

    def handle_response(
        self,
        status: int,
        body: Mapping[str, object] | str,
        headers: Any,  # noqa: ANN401 -- Authlib's
    ) -> Response:
        if isinstance(body, str):
            return Response(body, status, dict(headers))
        return JSONResponse(body, status, dict(headers))

    def judge(self, request: ProtocolRequest) -> Any:  # noqa: ANN401 -- an Authlib grant
        """Check an authorization request, or raise ``OAuth2Error``."""
        return self.get_consent_grant(request)  # type: ignore[no-untyped-call]  # so are the stubs

    def grant_code(self, request: ProtocolRequest, session: Session) -> Response:
        """Answer a good authorization request with a code."""
        answer = self.create_authorization_response(request, session, self.judge(request))
        return cast("Response", answer)

    def exchange(self, request: ProtocolRequest) -> Response:
        """Answer a token request, with tokens or with its refusal."""
        return cast("Response", self.create_token_response(request))

    def grant(
        self, session: Session, scope: str, family: str, nonce: str | None, road: str
    ) -> Grant:
        """Say what the next tokens of a session are made from: its person as they are now."""
        person = self.realm.people.find(session.subject)
        if person is None or not person.enabled:
            raise InvalidGrantError("the person is not here any more")
        return Grant(
            session=session,
            person=person,
            level=self.sessions.level(session),
            scope=scope,
            family=family,
            nonce=nonce,
            road=road,
        )

    def issue_to_service(self, client: Client) -> dict[str, str | int]:
        """Make the answer to a program: no refresh token, since it can ask again."""
        access, seconds = self.minter.service_token(client)
        return {
            "access_token": access,
            "expires_in": seconds,
            "refresh_expires_in": 0,
            "token_type": "Bearer",
            "not-before-policy": 0,
            "scope": "",
        }

    def issue(self, grant: Grant) -> dict[str, str | int]:
        """Make a token answer of Keycloak's shape and expect its refresh token from now on."""
        access = self.minter.access_token(grant)
        refresh, refresh_id, refresh_seconds = self.minter.refresh_token(grant)
        self.sessions.use(grant.session)
        self.sessions.expect_refresh(grant.session, grant.family, refresh_id)
        answer: dict[str, str | int] = {
            "access_token": access,
            "expires_in": ACCESS_SECONDS,
            "refresh_expires_in": refresh_seconds,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "not-before-policy": 0,
            "session_state": grant.session.id,
            "scope": grant.scope,
        }
        if "openid" in grant.scope.split():
            answer["id_token"] = self.minter.id_token(grant, access)
        return answer
