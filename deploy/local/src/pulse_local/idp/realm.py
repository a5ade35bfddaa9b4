"""The realm's people and its one client: what Keycloak would keep in its database."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749 import ClientMixin

from pulse_local.idp.passwords import PasswordHash, hash_password

if TYPE_CHECKING:
    from collections.abc import Collection

    from pulse_local.idp.settings import Settings

ACME = "11111111-1111-4111-8111-111111111111"
GLOBEX = "22222222-2222-4222-8222-222222222222"
CLIENT_ID = "pulse-ui"
AUDIENCE = "pulse-api"
SCOPES = ("openid", "email", "profile")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    subject: str
    username: str
    given_name: str
    family_name: str
    role: str
    tenant: str | None
    password: PasswordHash

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client(ClientMixin):
    """A confidential client that may only use the code flow; Authlib asks it what is allowed."""

    client_id: str
    secret: str = field(repr=False)
    redirect_uri: str
    post_logout_uri: str

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return ""  # every request names its redirect URI, so that it is compared

    def get_allowed_scope(self, scope: Collection[str] | str) -> str:
        """Name e-mail and profile always, as Keycloak's default client scopes do."""
        asked = scope.split() if isinstance(scope, str) else scope or ()
        return " ".join(SCOPES if "openid" in asked else SCOPES[1:])

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret: str) -> bool:
        # As bytes: on text compare_digest raises for anything beyond ASCII.
        given = client_secret.encode("utf-8", "surrogatepass")
        return hmac.compare_digest(given, self.secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        del endpoint
        return method in {"client_secret_basic", "client_secret_post"}

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in {"authorization_code", "refresh_token"}


@dataclass(frozen=True, slots=True)
class Realm:
    issuer: str
    client: Client
    users: dict[str, User]

    def find_client(self, client_id: str) -> Client | None:
        return self.client if client_id == self.client.client_id else None

    def find_user(self, username: str) -> User | None:
        return self.users.get(username.strip().lower())


def build_realm(settings: Settings) -> Realm:
    client = Client(
        client_id=CLIENT_ID,
        secret=settings.client_secret,
        redirect_uri=settings.redirect_uri,
        post_logout_uri=settings.post_logout_uri,
    )
    users = _demo_users(settings.demo_password)
    return Realm(settings.issuer, client, {user.username: user for user in users})


def _demo_users(password: str) -> list[User]:
    people = [
        ("a11ce000-5f4e-4b1d-9c3a-2d8f6b7e1a01", "Alice", "Archer", "tenant-admin", "acme", ACME),
        ("b0b00000-1c7d-4e2f-8a4b-7e5d3c9f2b02", "Bob", "Baker", "customer", "acme", ACME),
        ("3a110000-9b3e-4d5c-a6f7-1f4e8d2c3c03", "Mallory", "Moss", "tenant-admin", "globex", GLOBEX),
        ("0115a000-7e2a-4c8b-b5d9-6c1f9a4e5d04", "Olivia", "Owens", "operator", "pulse", None),
    ]  # fmt: skip
    hashed = hash_password(password)
    return [
        User(
            subject=subject,
            username=f"{given_name.lower()}@{domain}.example",
            given_name=given_name,
            family_name=family_name,
            role=role,
            tenant=tenant,
            password=hashed,
        )
        for subject, given_name, family_name, role, domain, tenant in people
    ]
