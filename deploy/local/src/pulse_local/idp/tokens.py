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

from pulse_local.idp.realm import AUDIENCE, Realm
from pulse_local.idp.sessions import LONGEST_SECONDS, Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from urllib.parse import SplitResult

    from pulse_local.idp.realm import User

ACCESS_SECONDS = 300
REFRESH_SECONDS = 1800

Claims = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What tokens are made from: a session, what was asked for, and by which road."""

    session: Session
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

    def access_token(self, grant: Grant, origin: SplitResult) -> str:
        user = grant.session.user
        return self._sign(
            self._times(ACCESS_SECONDS)
            | self._common(grant, "Bearer", f"onrt{grant.road}:{uuid4()}")
            | {
                "aud": [AUDIENCE, "account"],
                "allowed-origins": [f"{origin.scheme}://{origin.netloc}"],
                "realm_access": {
                    "roles": [
                        "default-roles-pulse", "offline_access", "uma_authorization", user.role,
                    ]
                },
                "resource_access": {
                    "account": {"roles": ["manage-account", "manage-account-links", "view-profile"]}
                },
                "scope": grant.scope,
            }
            | person(user)
        )  # fmt: skip

    def id_token(self, grant: Grant, access_token: str) -> str:
        claims = (
            self._times(ACCESS_SECONDS)
            | self._common(grant, "ID", str(uuid4()))
            | {"aud": self._realm.client.client_id, "at_hash": _half_hash(access_token)}
            | person(grant.session.user)
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
            "sub": grant.session.user.subject,
            "typ": kind,
            "azp": self._realm.client.client_id,
            "sid": grant.session.id,
            "acr": "1",
        }

    def _sign(self, claims: Claims) -> str:
        header = {"alg": "RS256", "typ": "JWT", "kid": self._key.kid}
        return jwt.encode(header, claims, self._key, ["RS256"])


def person(user: User) -> Claims:
    """Describe a person as the profile, e-mail and tenant mappers do; operators have no tenant."""
    claims: Claims = {
        "email_verified": True,
        "name": user.name,
        "preferred_username": user.username,
        "given_name": user.given_name,
        "family_name": user.family_name,
        "email": user.username,
    }
    return claims if user.tenant is None else claims | {"tenant_id": user.tenant}


def _half_hash(token: str) -> str:
    """Compute ``at_hash`` (OpenID Connect Core, 3.1.3.6)."""
    half = hashlib.sha256(token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()
