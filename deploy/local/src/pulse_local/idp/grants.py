"""The OAuth rules, by Authlib, tightened: PKCE with S256 always, codes used once, refresh tokens rotated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import structlog
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidRequestError
from authlib.oauth2.rfc6749.grants import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    RefreshTokenGrant,
)
from authlib.oauth2.rfc7636 import CodeChallenge

from pulse_local.idp.codes import Code

if TYPE_CHECKING:
    from authlib.oauth2 import OAuth2Request
    from authlib.oauth2.rfc6749 import ClientMixin

    from pulse_local.idp.realm import Client
    from pulse_local.idp.server import ProtocolServer
    from pulse_local.idp.sessions import Session

log = structlog.get_logger(__name__)
CLIENT_METHODS = ("client_secret_basic", "client_secret_post")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class S256Only(CodeChallenge):
    """PKCE as RFC 9700 asks for it; Authlib alone would let a confidential client go without."""

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:  # noqa: ANN401 -- any grant
        del redirect_uri
        parameters = grant.request.payload.data
        if parameters.get("code_challenge_method") != "S256":
            raise InvalidRequestError("code_challenge_method must be S256")
        if not _CHALLENGE.fullmatch(parameters.get("code_challenge", "")):
            raise InvalidRequestError("code_challenge is missing or malformed")


class CodeGrant(AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_METHODS
    server: ProtocolServer

    def create_authorization_response(
        self, redirect_uri: str, grant_user: Session
    ) -> tuple[int, str, list[tuple[str, str]]]:
        """Answer with ``iss`` (RFC 9207) and Keycloak's ``session_state`` besides the code."""
        status, body, headers = super().create_authorization_response(redirect_uri, grant_user)
        location = add_params_to_uri(
            dict(headers)["Location"],
            [("session_state", grant_user.id), ("iss", self.server.realm.issuer)],
        )
        return status, body, [("Location", location)]

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        assert request.payload is not None
        parameters = request.payload.data
        session = cast("Session", request.user)
        self.server.codes.save(
            code,
            Code(
                session_id=session.id,
                redirect_uri=parameters["redirect_uri"],
                scope=request.scope,
                nonce=parameters.get("nonce"),
                code_challenge=parameters["code_challenge"],
                issued_at=self.server.clock(),
            ),
        )

    def query_authorization_code(self, code: str, client: ClientMixin) -> Code | None:
        del client  # there is one, and it has been authenticated
        ended = self.server.codes.session_of_used(code)
        if ended is not None:
            # RFC 9700, 4.5: somebody else has seen the code, so what came of it ends.
            log.warning("code_reused", session_id=ended)
            self._forget(ended)
        return self.server.codes.claim(code)

    def create_token_response(self) -> Any:  # noqa: ANN401 -- Authlib's stubs miss that the body is JSON
        code = cast("Code", self.request.authorization_code)
        session = self.server.sessions.find(code.session_id)
        if session is None:
            raise InvalidGrantError("the session has ended")
        grant = self.server.grant(session, code.scope, str(uuid4()), code.nonce, "ac")
        return 200, self.server.issue(grant), self.TOKEN_RESPONSE_HEADER

    def _forget(self, session_id: str) -> None:
        session = self.server.sessions.find(session_id)
        if session is not None:
            self.server.sessions.forget_refresh(session)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token that is good now, as Authlib asks about it."""

    session: Session
    scope: str
    family: str
    client_id: str

    def check_client(self, client: ClientMixin) -> bool:
        return client.get_client_id() == self.client_id

    def get_scope(self) -> str:
        return self.scope


class RotatingRefreshGrant(RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True
    server: ProtocolServer

    def authenticate_refresh_token(self, refresh_token: str) -> Any:  # noqa: ANN401 -- or None
        claims = self.server.minter.read_refresh_token(refresh_token)
        if claims is None:
            return None
        session = self.server.sessions.find(str(claims["sid"]))
        if session is None:
            return None
        family = str(claims["reuse_id"])
        if not self.server.sessions.is_expected(session, family, str(claims["jti"])):
            # Either the client or a thief holds an old token; nobody can tell which, so both stop.
            log.warning("refresh_token_reused", session_id=session.id)
            self.server.sessions.forget_refresh(session)
            return None
        return RefreshToken(session, str(claims["scope"]), family, str(claims["azp"]))

    def create_token_response(self) -> Any:  # noqa: ANN401 -- as above
        token = cast("RefreshToken", self.request.refresh_token)
        grant = self.server.grant(token.session, token.scope, token.family, None, "rt")
        return 200, self.server.issue(grant), self.TOKEN_RESPONSE_HEADER


class ServiceGrant(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_METHODS
    server: ProtocolServer

    def create_token_response(self) -> Any:  # noqa: ANN401 -- as above
        client = cast("Client", self.request.client)
        return 200, self.server.issue_to_service(client), self.TOKEN_RESPONSE_HEADER
