"""The identity provider, as a confidential client sees it: authorization code with PKCE, refresh, log-out.

Sources: RFC 6749, RFC 7636 (S256), OpenID Connect Core 1.0, RP-Initiated Logout 1.0, RFC 9700.  The browser goes to
the public issuer; this service calls the same realm by its internal address.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import httpx2
import structlog
from pydantic import BaseModel, ValidationError

from pulse_common.errors import AppError, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from pydantic import SecretStr

log = structlog.get_logger(__name__)

SCOPE = "openid profile email"
_PROTOCOL = "/protocol/openid-connect"


class Tokens(BaseModel):
    """What the token endpoint gives; ``expires_in`` is the access token's life in seconds."""

    access_token: str
    refresh_token: str
    id_token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """What binds an authorization response to the browser that began it."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def begin(cls) -> LoginAttempt:
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProvider:
    http: httpx2.AsyncClient
    issuer: str
    internal_url: str
    client_id: str
    client_secret: SecretStr
    redirect_uri: str
    after_logout_uri: str
    step_up_acr: str = ""
    """The level that a step-up asks for, "2" for a second factor in our realm; none when empty."""

    def login_url(self, attempt: LoginAttempt) -> str:
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": SCOPE,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return f"{self.issuer}{_PROTOCOL}/auth?{urlencode(query)}"

    def step_up_url(self, attempt: LoginAttempt) -> str:
        """As ``login_url``, but whoever is known there must prove anew who they are."""
        query = {"prompt": "login", "max_age": "0"}
        if self.step_up_acr:
            query["acr_values"] = self.step_up_acr
        return f"{self.login_url(attempt)}&{urlencode(query)}"

    def logout_url(self, id_token: str) -> str:
        query = {"id_token_hint": id_token, "post_logout_redirect_uri": self.after_logout_uri}
        return f"{self.issuer}{_PROTOCOL}/logout?{urlencode(query)}"

    async def redeem(self, code: str, verifier: str) -> Tokens:
        """Trade an authorization code for tokens.

        Raises:
            Unauthenticated: the code is unknown, used, old or not this browser's.
            Unavailable: the identity provider is away.
        """
        return await self._tokens(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self.redirect_uri,
                "code_verifier": verifier,
            }
        )

    async def refresh(self, refresh_token: str) -> Tokens:
        """Trade a refresh token, which is rotated: the old one must not be used again.

        Raises:
            Unauthenticated: the identity provider has ended the session.
            Unavailable: it is away; the refresh token is still good.
        """
        return await self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def revoke(self, refresh_token: str) -> None:
        """End the log-in behind a refresh token (RFC 7009); what cannot be ended now is logged, and ends by idling."""
        form = {"token": refresh_token, "token_type_hint": "refresh_token"}
        try:
            response = await self._post("revoke", form)
        except Unavailable:
            log.warning("log_in_not_revoked", reason="away")
            return
        if not response.is_success:
            log.warning("log_in_not_revoked", reason=f"status {response.status_code}")

    async def _post(self, endpoint: str, form: dict[str, str]) -> httpx2.Response:
        # RFC 6749 section 2.3.1: both halves are form-encoded before they become Basic credentials.
        secret = quote(self.client_secret.get_secret_value(), safe="")
        try:
            return await self.http.post(
                f"{self.internal_url}{_PROTOCOL}/{endpoint}",
                data=form,
                auth=(quote(self.client_id, safe=""), secret),
            )
        except httpx2.RequestError as error:
            raise Unavailable("the identity provider is away") from error

    async def _tokens(self, form: dict[str, str]) -> Tokens:
        response = await self._post("token", form)
        if not response.is_success:
            raise _refusal(response)
        try:
            return Tokens.model_validate_json(response.content)
        except ValidationError as error:
            raise Unavailable("the identity provider gave no tokens") from error


class _Refusal(BaseModel):
    """RFC 6749 section 5.2."""

    error: str = ""


def _refusal(response: httpx2.Response) -> AppError:
    """Say what an answer without tokens means.

    Only ``invalid_grant`` is about this person.  A wrong client secret, a rate limit or a fault there is about us, and
    must not sign everybody out.
    """
    try:
        error = _Refusal.model_validate_json(response.content).error
    except ValidationError:
        error = ""
    if error == "invalid_grant":
        return Unauthenticated("the identity provider refused the log-in")
    log.error("token_request_failed", status=response.status_code, error=error[:60])
    return Unavailable("the identity provider gave no tokens")
