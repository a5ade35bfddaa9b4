"""The realm: its people and its clients, each of which may use the roads of its own and no other."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749 import ClientMixin

from pulse_local.idp.people import ACME, GLOBEX, People, demo_people

if TYPE_CHECKING:
    from collections.abc import Collection

    from pulse_local.idp.settings import Settings

CLIENT_ID = "pulse-ui"
ADMIN_CLIENT_ID = "pulse-ui-admin"
ADMIN_AUDIENCE = "realm-management"
ADMIN_RIGHTS = ("manage-users", "view-users", "query-groups", "query-users")
AUDIENCE = "pulse-api"
SCOPES = ("openid", "email", "profile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client(ClientMixin):
    """A confidential client; Authlib asks it what is allowed.

    Without redirect URIs it is a service account, whose tokens carry ``tenant`` and ``roles``, or the rights of the
    admin API.
    """

    client_id: str
    secret: str = field(repr=False)
    grants: frozenset[str]
    redirect_uri: str = ""
    post_logout_uri: str = ""
    subject: str = ""
    tenant: str | None = None
    roles: tuple[str, ...] = ()

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return ""  # every request names its redirect URI, so that it is compared

    def get_allowed_scope(self, scope: Collection[str] | str) -> str:
        """Name e-mail and profile always, as Keycloak's default client scopes do."""
        asked = scope.split() if isinstance(scope, str) else scope or ()
        return " ".join(SCOPES if "openid" in asked else SCOPES[1:])

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return bool(self.redirect_uri) and redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret: str) -> bool:
        # As bytes: on text compare_digest raises for anything beyond ASCII.
        given = client_secret.encode("utf-8", "surrogatepass")
        return hmac.compare_digest(given, self.secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        del endpoint
        return method in {"client_secret_basic", "client_secret_post"}

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and "authorization_code" in self.grants

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grants


@dataclass(frozen=True, slots=True)
class Realm:
    issuer: str
    client: Client  # the one that people log in to
    services: dict[str, Client]
    people: People

    def find_client(self, client_id: str) -> Client | None:
        return self.client if client_id == self.client.client_id else self.services.get(client_id)


def build_realm(settings: Settings) -> Realm:
    client = Client(
        client_id=CLIENT_ID,
        secret=settings.client_secret,
        grants=frozenset({"authorization_code", "refresh_token"}),
        redirect_uri=settings.redirect_uri,
        post_logout_uri=settings.post_logout_uri,
    )
    admin = _service(
        ADMIN_CLIENT_ID, settings.admin_client_secret, "ad314000-6b1f-4a6c-9d0e-5c7b8a9f0e05"
    )
    secret = settings.api_client_secret
    services = [
        admin,
        _service("pulse-api-acme", secret, "ac3e0000-4d2a-4f1b-8c3d-9e0f1a2b3c06", ACME),
        _service("pulse-api-globex", secret, "610be000-2c5d-4e8f-9a1b-3d4e5f607107", GLOBEX),
    ]
    return Realm(
        settings.issuer,
        client,
        {service.client_id: service for service in services},
        demo_people(settings.demo_password),
    )


def _service(client_id: str, secret: str, subject: str, tenant: str | None = None) -> Client:
    return Client(
        client_id=client_id,
        secret=secret,
        grants=frozenset({"client_credentials"}),
        subject=subject,
        tenant=tenant,
        roles=("customer",) if tenant else (),
    )
