"""Makes tokens of Keycloak 26's shape, and reads back those that come to the provider itself."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, RSAKey

from pulse_local.idp.realm import ADMIN_AUDIENCE, ADMIN_CLIENT_ID, ADMIN_RIGHTS, AUDIENCE
from pulse_local.idp.sessions import LONGEST_SECONDS, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pulse_local.idp.people import Person
    from pulse_local.idp.realm import Client, Realm

ACCESS_SECONDS = 300
REFRESH_SECONDS = 1800
ADMIN_ACCESS_SECONDS = 60
LOGOUT_SECONDS = 120
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

Claims = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What tokens are made from: a session, what was asked for, and by which road."""

    session: Session
    person: Person
    level: str
    scope: str
    family: str
    nonce: str | None
    road: str  # "ac" for a code, "rt" for a refresh; Keycloak marks its token ids so


class Minter:
    def __init__(self, realm: Realm, key: RSAKey, clock: Callable[[], float]) -> None:
        self._realm = realm
        self._key = key
        self._clock = clock
        # Opaque to everybody else and useless without the sessions, which a restart ends.
        self._own_key = OctKey.import_key(secrets.token_bytes(64))

    def access_token(self, grant: Grant) -> str:
        return self._sign(
            self._times(ACCESS_SECONDS)
            | self._common(grant, "Bearer", f"onrt{grant.road}:{uuid4()}")
            | {"aud": AUDIENCE, "scope": grant.scope}
            | _roles(grant.person.roles)
            | person(grant.person)
        )

    def service_token(self, client: Client) -> tuple[str, int]:
        """Return a program's own token and its seconds to live: no session, so neither ``sid`` nor ``acr``."""
        admin = client.client_id == ADMIN_CLIENT_ID
        seconds = ADMIN_ACCESS_SECONDS if admin else ACCESS_SECONDS
        claims = self._times(seconds) | {
            "jti": f"trrtcc:{uuid4()}",
            "iss": self._realm.issuer,
            "aud": ADMIN_AUDIENCE if admin else AUDIENCE,
            "sub": client.subject,
            "typ": "Bearer",
            "azp": client.client_id,
            "scope": "",
        }
        if admin:
            claims["resource_access"] = {ADMIN_AUDIENCE: {"roles": list(ADMIN_RIGHTS)}}
        if client.tenant is not None:
            claims["tenant_id"] = client.tenant
        return self._sign(claims | _roles(client.roles)), seconds

    def logout_token(self, session: Session) -> str:
        claims = self._times(LOGOUT_SECONDS) | {
            "jti": str(uuid4()),
            "iss": self._realm.issuer,
            "aud": self._realm.client.client_id,
            "sub": session.subject,
            "typ": "Logout",
            "sid": session.id,
            "events": {LOGOUT_EVENT: {}, "revoke_offline_access": True},
        }
        return self._sign(claims, "logout+jwt")

    def id_token(self, grant: Grant, access_token: str) -> str:
        claims = (
            self._times(ACCESS_SECONDS)
            | self._common(grant, "ID", str(uuid4()))
            | {"aud": self._realm.client.client_id, "at_hash": _half_hash(access_token)}
            | person(grant.person)
        )
        if grant.nonce is not None:
            claims["nonce"] = grant.nonce
        return self._sign(claims)

    def refresh_token(self, grant: Grant) -> tuple[str, str, int]:
        """Return the token, its id and its seconds to live, which end with the session."""
        left = grant.session.started_at + LONGEST_SECONDS - int(self._clock())
        seconds = max(0, min(REFRESH_SECONDS, left))
        token_id = str(uuid4())
        claims = (
            self._times(seconds)
            | self._common(grant, "Refresh", token_id)
            | {"aud": self._realm.issuer, "scope": grant.scope, "reuse_id": grant.family}
        )
        header = {"alg": "HS512", "typ": "JWT"}
        return jwt.encode(header, claims, self._own_key, ["HS512"]), token_id, seconds

    def read_access_token(self, token: str) -> Claims | None:
        claims = self._read(token, self._key, "RS256", "Bearer")
        return None if claims is None or self._is_over(claims) else claims

    def read_refresh_token(self, token: str) -> Claims | None:
        claims = self._read(token, self._own_key, "HS512", "Refresh")
        return None if claims is None or self._is_over(claims) else claims

    def read_id_token(self, token: str) -> Claims | None:
        """Read a log-out hint, which may be over: it only says whose session is meant."""
        return self._read(token, self._key, "RS256", "ID")

    def _read(self, token: str, key: RSAKey | OctKey, algorithm: str, kind: str) -> Claims | None:
        try:
            claims = dict(jwt.decode(token, key, [algorithm]).claims)
        except (JoseError, ValueError):
            return None
        ours = claims.get("iss") == self._realm.issuer and claims.get("typ") == kind
        return claims if ours else None

    def _is_over(self, claims: Claims) -> bool:
        expires_at = claims.get("exp")
        return not isinstance(expires_at, int) or self._clock() >= expires_at

    def _times(self, seconds: int) -> Claims:
        now = int(self._clock())
        return {"exp": now + seconds, "iat": now}

    def _common(self, grant: Grant, kind: str, token_id: str) -> Claims:
        return {
            "auth_time": grant.session.authenticated_at,
            "jti": token_id,
            "iss": self._realm.issuer,
            "sub": grant.person.subject,
            "typ": kind,
            "azp": self._realm.client.client_id,
            "sid": grant.session.id,
            "acr": grant.level,
        }

    def _sign(self, claims: Claims, kind: str = "JWT") -> str:
        header = {"alg": "RS256", "typ": kind, "kid": self._key.kid}
        return jwt.encode(header, claims, self._key, ["RS256"])


def person(of: Person) -> Claims:
    """Describe a person as the profile, e-mail and tenant mappers do; operators have no tenant."""
    claims: Claims = {
        "email_verified": of.email_verified,
        "preferred_username": of.username,
        "email": of.username,
    }
    maybe = {
        "name": of.name,
        "given_name": of.given_name,
        "family_name": of.family_name,
        "tenant_id": of.tenant,
    }
    return claims | {name: value for name, value in maybe.items() if value}


def _roles(roles: Collection[str]) -> Claims:
    return {"realm_access": {"roles": sorted(roles)}} if roles else {}


def _half_hash(token: str) -> str:
    """Compute ``at_hash`` (OpenID Connect Core, 3.1.3.6)."""
    half = hashlib.sha256(token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()
