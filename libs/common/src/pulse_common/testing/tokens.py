"""Make tokens of Keycloak's shape, good or spoilt, with keys that tests own."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm, get_default_algorithms

from pulse_common.jwk import VerificationKey, read_key_set
from pulse_common.jwt import LOGOUT_EVENT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

ISSUER = "https://localhost:8443/realms/pulse"
AUDIENCE = "pulse-api"
CLIENT = "pulse-ui"
ACME = "11111111-1111-4111-8111-111111111111"


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(header: bytes, payload: bytes, key: Any, algorithm: str) -> str:  # noqa: ANN401
    """Sign exactly these bytes, however little sense they make."""
    signed = f"{encode(header)}.{encode(payload)}"
    signature: bytes = get_default_algorithms()[algorithm].sign(signed.encode(), key)
    return f"{signed}.{encode(signature)}"


@dataclass(frozen=True, slots=True)
class FakeKeys:
    """A ``KeySource`` with a fixed set of keys, as if fetched from this document."""

    document: dict[str, object]

    async def find(self, key_id: str) -> VerificationKey | None:
        return read_key_set(self.document).get(key_id)


@dataclass(frozen=True, slots=True)
class Issuer:
    """An identity provider reduced to its signing key."""

    now: datetime
    key_id: str = "k1"
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def jwk(self) -> dict[str, object]:
        public = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"kty": "RSA", "kid": self.key_id, "use": "sig", "alg": "RS256"} | {
            name: public[name] for name in ("n", "e")
        }

    def keys(self) -> FakeKeys:
        return FakeKeys({"keys": [self.jwk()]})

    def claims(self, **changes: object) -> dict[str, object]:
        """Return an access token's claims, with some changed, or removed by ``...``."""
        seconds = int(self.now.timestamp())
        claims: dict[str, object] = {
            "iss": ISSUER,
            "sub": "6f1d6f0e-7a53-4d6c-9d8e-0d4b2f5f0a01",
            "typ": "Bearer",
            "azp": CLIENT,
            "aud": AUDIENCE,
            "exp": seconds + 300,
            "iat": seconds,
            "auth_time": seconds,
            "jti": "onrtac:4b0b7d5e-0c1c-4f6e-8a58-5c5d1f4b9d10",
            "sid": "0b9a7c52-4f3c-4b9e-9d64-8c7c0f3c2f11",
            "acr": "1",
            "scope": "openid email profile",
            "realm_access": {"roles": ["default-roles-pulse", "offline_access", "tenant-admin"]},
            "preferred_username": "alice@acme.example",
            "email": "alice@acme.example",
            "name": "Alice Archer",
            "tenant_id": ACME,
        }
        changed = claims | changes
        return {name: value for name, value in changed.items() if value is not ...}

    def token(self, **changes: object) -> str:
        return self.sign(json.dumps(self.claims(**changes)).encode())

    def logout_token(self, header: Mapping[str, object] | None = None, **changes: object) -> str:
        """Make a logout token of Keycloak's shape."""
        seconds = int(self.now.timestamp())
        common = {name: self.claims()[name] for name in ("iss", "sub", "sid", "jti", "iat")}
        claims: dict[str, object] = common | {
            "typ": "Logout",
            "aud": CLIENT,
            "exp": seconds + 120,
            "events": {LOGOUT_EVENT: {}},
        }
        changed = {k: v for k, v in (claims | changes).items() if v is not ...}
        return self.sign(json.dumps(changed).encode(), **{"typ": "logout+jwt"} | dict(header or {}))

    def sign(self, payload: bytes, **header: object) -> str:
        """Sign a payload; ``header`` members come besides the usual ones."""
        members = {"alg": "RS256", "typ": "JWT", "kid": self.key_id} | header
        return sign(json.dumps(members).encode(), payload, self.key, "RS256")
