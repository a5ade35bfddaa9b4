"""Verify the identity provider's tokens: who an access token speaks for, who an ID token logged in, who was logged out.

An ID token or a refresh token is not an access token (Keycloak tells them apart by the ``typ``
claim), and a token made for another audience or another client is not one for us, however good its
signature.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pulse_common.claims import LEEWAY_SECONDS, Claims
from pulse_common.clients import AllowedClients, exactly
from pulse_common.clock import Clock, system_clock
from pulse_common.identity import OPERATOR_ROLES, Principal
from pulse_common.jwks import Jwks, KeySource
from pulse_common.jws import (
    LOGOUT_TYPES,
    LONGEST_TOKEN,
    CompactToken,
    TokenRefused,
    check_signature,
    read_compact,
    read_object,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

__all__ = [
    "LEEWAY_SECONDS",
    "LOGOUT_EVENT",
    "LOGOUT_TOKEN_SECONDS",
    "LONGEST_TOKEN",
    "IdClaims",
    "Jwks",
    "JwtVerifier",
    "KeySource",
    "LogoutClaims",
    "TokenRefused",
]

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TOKEN_SECONDS = 300
"""How old a logout token may be (Keycloak's end after 120 s), so that what was used need not be remembered for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdClaims:
    """What a log-in told us about the person, bound to the browser by the nonce."""

    subject: str
    session_id: str | None
    name: str
    email: str
    username: str
    authentication_class: str
    authenticated_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutClaims:
    """Whose sessions have ended at the identity provider: one, by ``session_id``, or all of ``subject``.

    ``token_id`` is to be taken once; after ``useless_at`` the token would be refused for its age.
    """

    session_id: str | None
    subject: str | None
    token_id: str
    useless_at: datetime


class JwtVerifier:
    """Verifies tokens of one issuer.

    ``audience`` is what an access token must be made for, ``azp`` the clients that may have asked for it: names, or the
    rule of ``pulse_common.clients``.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        azp: AllowedClients | Collection[str],
        jwks: KeySource,
        clock: Clock = system_clock,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._clients = azp if isinstance(azp, AllowedClients) else exactly(azp)
        self._jwks = jwks
        self._clock = clock

    async def verify(self, token: str) -> Principal:
        """Return who an access token speaks for.

        Raises:
            TokenRefused: with a reason code for the audit log; the caller gets a plain 401.
            Unavailable: no keys are at hand, so nothing can be said about any token.

        """
        claims = await self._verified_claims(token, kind="Bearer")
        if self._audience not in claims.audiences():
            raise TokenRefused("audience")
        client = claims.text("azp")
        if not self._clients.is_named(client) and not self._clients.is_program(client):
            raise TokenRefused("authorized_party")
        if "cnf" in claims.members:
            raise TokenRefused("sender_constrained")  # bound to a key that nobody checks here
        roles = claims.roles()
        if roles & OPERATOR_ROLES and not self._clients.is_named(client):
            raise TokenRefused("program_of_operator")  # a program is its tenant's
        return Principal(
            subject=claims.text("sub"),
            tenant=claims.tenant(roles),
            roles=roles,
            session_id=claims.optional_text("sid") or None,
            name=claims.optional_text("name"),
            email=claims.optional_text("email"),
            username=claims.optional_text("preferred_username"),
            client=client,
            authentication_class=claims.optional_text("acr"),
            authenticated_at=claims.optional_time("auth_time"),
            expires_at=claims.time("exp"),
        )

    async def verify_id_token(self, token: str, nonce: str, client_id: str) -> IdClaims:
        """Check the ID token of a log-in that this browser began (OpenID Connect Core, 3.1.3.7).

        Raises:
            TokenRefused, Unavailable: as ``verify``.

        """
        claims = await self._verified_claims(token, kind="ID")
        if claims.audiences() != {client_id}:
            raise TokenRefused("audience")
        if claims.optional_text("azp") not in {"", client_id}:
            raise TokenRefused("authorized_party")
        if not nonce or not hmac.compare_digest(claims.text("nonce").encode(), nonce.encode()):
            raise TokenRefused("nonce")
        return IdClaims(
            subject=claims.text("sub"),
            session_id=claims.optional_text("sid") or None,
            name=claims.optional_text("name"),
            email=claims.optional_text("email"),
            username=claims.optional_text("preferred_username"),
            authentication_class=claims.optional_text("acr"),
            authenticated_at=claims.optional_time("auth_time"),
            expires_at=claims.time("exp"),
        )

    async def verify_logout_token(self, token: str, client_id: str) -> LogoutClaims:
        """Check a logout token (OpenID Connect Back-Channel Logout, 2.6).  Not judged is that it comes once.

        Raises:
            TokenRefused, Unavailable: as ``verify``.

        """
        compact = read_compact(token, LOGOUT_TYPES | {"jwt"})
        claims = await self._signed_claims(compact)
        # One of the two must say that it is one: an ID token is for the same audience and holds the same names.
        kinds = {"Logout"} if compact.kind == "jwt" else {"Logout", ""}
        if claims.optional_text("typ") not in kinds:
            raise TokenRefused("type")
        if "nonce" in claims.members:
            raise TokenRefused("nonce")
        now = self._clock()
        claims.check_times(now)
        useless_at = claims.time("iat") + timedelta(seconds=LOGOUT_TOKEN_SECONDS)
        if now >= useless_at:
            raise TokenRefused("too_old")
        if claims.audiences() != {client_id}:
            raise TokenRefused("audience")
        events = claims.members.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
            raise TokenRefused("claim_events")
        session_id, subject = claims.optional_text("sid"), claims.optional_text("sub")
        if not session_id and not subject:
            raise TokenRefused("claim_sid")
        return LogoutClaims(
            session_id=session_id or None,
            subject=subject or None,
            token_id=claims.text("jti"),
            useless_at=useless_at,
        )

    async def _verified_claims(self, token: str, *, kind: str) -> Claims:
        claims = await self._signed_claims(read_compact(token))
        if claims.text("typ") != kind:
            raise TokenRefused("type")
        claims.check_times(self._clock())
        return claims

    async def _signed_claims(self, compact: CompactToken) -> Claims:
        key = await self._jwks.find(compact.key_id)
        if key is None:
            raise TokenRefused("unknown_key")
        check_signature(compact, key)
        claims = Claims(read_object(compact.payload))
        if claims.text("iss") != self._issuer:
            raise TokenRefused("issuer")
        return claims
