"""One running identity provider with its realm, as the tests address it; and its people, by the admin API."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2
    from tests.identity.receiver import Receiver

ACME = "11111111-1111-4111-8111-111111111111"
GLOBEX = "22222222-2222-4222-8222-222222222222"
ALICE, BOB = "alice@acme.example", "bob@acme.example"
MALLORY, OLIVIA = "mallory@globex.example", "olivia@pulse.example"
# The working people of every test; nobody else is changed by one test and used by another.
PEOPLE: tuple[tuple[str, str, str | None], ...] = (
    (ALICE, "tenant-admin", ACME),
    (BOB, "customer", ACME),
    (MALLORY, "tenant-admin", GLOBEX),
    (OLIVIA, "operator", None),
)
PASSWORD = "correct horse battery"
CLIENT_SECRET = "client-secret-of-pulse-ui-in-tests"
ADMIN_SECRET = "admin-secret-of-pulse-ui-in-tests-"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiClient:
    """A tenant's program."""

    client_id: str
    secret: str
    tenant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    name: str
    http: httpx2.Client  # its base_url is the provider's origin
    receiver: Receiver
    mail: Path
    api_client: ApiClient
    password: str = PASSWORD

    @property
    def public_url(self) -> str:
        return self.receiver.public_url

    @property
    def issuer(self) -> str:
        return f"{str(self.http.base_url).rstrip('/')}/realms/pulse"

    @property
    def protocol(self) -> str:
        return f"{self.issuer}/protocol/openid-connect"

    def token(
        self, form: dict[str, str], client: tuple[str, str] = ("pulse-ui", CLIENT_SECRET)
    ) -> httpx2.Response:
        return self.http.post(f"{self.protocol}/token", data=form, auth=client)


@dataclass(frozen=True, slots=True)
class Admin:
    """Calls the admin API as pulse-ui-admin does for the team page."""

    http: httpx2.Client
    access_token: str

    @classmethod
    def of(cls, provider: Provider) -> Admin:
        return cls.at(provider.http)

    @classmethod
    def at(cls, http: httpx2.Client) -> Admin:
        answer = http.post(
            "/realms/pulse/protocol/openid-connect/token",
            data={"grant_type": "client_credentials"},
            auth=("pulse-ui-admin", ADMIN_SECRET),
        )
        assert answer.status_code == 200, answer.text
        return cls(http, answer.json()["access_token"])

    def call(self, method: str, path: str, json: Any = None, **query: str) -> httpx2.Response:  # noqa: ANN401 -- any JSON
        return self.http.request(
            method,
            f"/admin/realms/pulse{path}",
            json=json,
            params=query or None,
            headers={"authorization": f"Bearer {self.access_token}"},
        )

    def add(self, username: str, tenant: str | None, role: str) -> str:
        """Make a person who can log in, and return their id."""
        given = username.partition("@")[0].capitalize()
        answer = self.call(
            "POST",
            "/users",
            {
                "username": username,
                "email": username,
                "emailVerified": True,
                "enabled": True,
                "firstName": given,
                "lastName": "Tester",
                "attributes": {"tenant_id": [tenant]} if tenant else {},
                "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
            },
        )
        assert answer.status_code == 201, answer.text
        user_id = answer.headers["location"].rpartition("/")[2]
        self.give(user_id, role)
        return user_id

    def somebody(self, role: str = "customer", tenant: str | None = ACME) -> tuple[str, str]:
        """Make somebody for one test alone; return name and id."""
        username = f"{secrets.token_hex(6)}@acme.example"
        return username, self.add(username, tenant, role)

    def give(self, user_id: str, role: str) -> None:
        available = self.call("GET", f"/users/{user_id}/role-mappings/realm/available").json()
        wanted = [found for found in available if found["name"] == role]
        assert wanted, available
        answer = self.call("POST", f"/users/{user_id}/role-mappings/realm", wanted)
        assert answer.status_code == 204, answer.text

    def take(self, user_id: str, role: str) -> None:
        held = self.call("GET", f"/users/{user_id}/role-mappings/realm").json()
        wanted = [found for found in held if found["name"] == role]
        answer = self.call("DELETE", f"/users/{user_id}/role-mappings/realm", wanted)
        assert answer.status_code == 204, answer.text

    def roles(self, user_id: str) -> set[str]:
        held = self.call("GET", f"/users/{user_id}/role-mappings/realm").json()
        return {found["name"] for found in held} - {"default-roles-pulse"}

    def find(self, username: str) -> str:
        (found,) = self.call("GET", "/users", username=username, exact="true").json()
        user_id: str = found["id"]
        return user_id
