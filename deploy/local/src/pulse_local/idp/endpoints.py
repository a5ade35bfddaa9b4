"""The endpoints that programs call: discovery, keys, tokens, user information, revocation."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from authlib.oauth2 import OAuth2Error
from starlette.responses import JSONResponse, Response

from pulse_local.idp.grants import CLIENT_METHODS
from pulse_local.idp.keys import published
from pulse_local.idp.parameters import BadParameters, read_form
from pulse_local.idp.realm import SCOPES
from pulse_local.idp.server import ProtocolRequest
from pulse_local.idp.tokens import person

if TYPE_CHECKING:
    from collections.abc import Mapping

    from joserfc.jwk import RSAKey
    from starlette.requests import Request

    from pulse_local.idp.server import ProtocolServer

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    server: ProtocolServer
    key: RSAKey

    async def discovery(self, _: Request) -> Response:
        """Describe the realm under its public addresses, whichever way the question came."""
        issuer = self.server.realm.issuer
        protocol = f"{issuer}/protocol/openid-connect"
        return JSONResponse(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{protocol}/auth",
                "token_endpoint": f"{protocol}/token",
                "userinfo_endpoint": f"{protocol}/userinfo",
                "end_session_endpoint": f"{protocol}/logout",
                "jwks_uri": f"{protocol}/certs",
                "revocation_endpoint": f"{protocol}/revoke",
                "grant_types_supported": [
                    "authorization_code",
                    "client_credentials",
                    "refresh_token",
                ],
                "acr_values_supported": ["1", "2"],
                "prompt_values_supported": ["none", "login"],
                "backchannel_logout_supported": True,
                "backchannel_logout_session_supported": True,
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": list(CLIENT_METHODS),
                "revocation_endpoint_auth_methods_supported": list(CLIENT_METHODS),
                "code_challenge_methods_supported": ["S256"],
                "scopes_supported": list(SCOPES),
                "authorization_response_iss_parameter_supported": True,
                "request_parameter_supported": False,
                "request_uri_parameter_supported": False,
                "claims_parameter_supported": False,
            }
        )

    async def certs(self, _: Request) -> Response:
        return JSONResponse({"keys": [published(self.key)]})

    async def token(self, request: Request) -> Response:
        try:
            wanted = await _client_request(request)
        except BadParameters as error:
            return _refuse(400, "invalid_request", str(error))
        response = self.server.exchange(wanted)
        if response.status_code != 200:  # noqa: PLR2004 -- the only good answer
            log.info("token_refused", status=response.status_code)
        return response

    async def userinfo(self, request: Request) -> Response:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        claims = self.server.minter.read_access_token(token) if kind.lower() == "bearer" else None
        session = self.server.sessions.find(str(claims.get("sid"))) if claims else None
        found = self.server.realm.people.find(session.subject) if session else None
        if claims is None or found is None:
            return _refuse(401, "invalid_token", "the token is not valid", challenge="Bearer")
        if "openid" not in str(claims["scope"]).split():
            return _refuse(403, "insufficient_scope", "openid is required", challenge="Bearer")
        return JSONResponse({"sub": found.subject} | person(found))

    async def revoke(self, request: Request) -> Response:
        """End the session behind a refresh token (RFC 7009); an unknown token is as good as revoked."""
        try:
            wanted = await _client_request(request)
            self.server.authenticate_client(wanted, CLIENT_METHODS, "revocation")
        except BadParameters as error:
            return _refuse(400, "invalid_request", str(error))
        except OAuth2Error as error:
            return _refuse(401, error.error or "", "the client is not known", challenge="Basic")
        if "token" not in wanted.form:
            return _refuse(400, "invalid_request", "token is missing")
        token = wanted.form["token"]
        if self.server.minter.read_access_token(token) is not None:
            return _refuse(400, "unsupported_token_type", "access tokens end by themselves")
        claims = self.server.minter.read_refresh_token(token)
        if claims is not None:
            self.server.sessions.end(str(claims["sid"]))
            log.info("session_revoked", session_id=claims["sid"])
        return Response(status_code=200)


async def _client_request(request: Request) -> ProtocolRequest:
    form = await read_form(request)
    headers = {"Authorization": request.headers.get("authorization", "")}
    _check_basic(headers["Authorization"])
    if headers["Authorization"] and "client_secret" in form:
        raise BadParameters("The client may prove itself in one way only.")  # RFC 6749, 2.3
    return ProtocolRequest("POST", form, headers)


def _check_basic(value: str) -> None:
    """Refuse what Authlib would trip over while it takes the header apart."""
    kind, _, encoded = value.partition(" ")
    if kind.lower() != "basic":
        return
    try:
        binascii.a2b_base64(encoded.strip(), strict_mode=True).decode()
    except ValueError as error:
        raise BadParameters("The authorization header cannot be read.") from error


def _refuse(status: int, code: str, description: str, *, challenge: str = "") -> Response:
    headers: Mapping[str, str] = (
        {"www-authenticate": f'{challenge} realm="pulse", error="{code}"'} if challenge else {}
    )
    body = {"error": code, "error_description": description}
    return JSONResponse(body, status, headers)
