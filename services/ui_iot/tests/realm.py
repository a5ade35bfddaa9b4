"""Keycloak's admin API in memory, as the team page's client sees it; it keeps what it was asked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid4, uuid5

import httpx2

if TYPE_CHECKING:
    from collections.abc import Callable

ADMIN_PATH = "/admin/realms/pulse"
ROLES = ("customer", "tenant-admin", "operator", "operator-admin", "default-roles-pulse")
_IDS = {role: str(uuid5(UUID(int=0), role)) for role in ROLES}
_TOKEN_SECONDS = 60

Mood = Literal["well", "away", "without mail", "forbidding"]


@dataclass
class Somebody:
    id: UUID
    email: str
    tenant: str | None
    roles: set[str]
    enabled: bool = True
    pending: bool = False
    created: int | None = 1_767_000_000_000

    def written(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "username": self.email,
            "email": self.email,
            "enabled": self.enabled,
            "emailVerified": not self.pending,
            "requiredActions": ["VERIFY_EMAIL", "UPDATE_PASSWORD"] if self.pending else [],
            "attributes": {"tenant_id": [self.tenant]} if self.tenant else {},
            "createdTimestamp": self.created,
        }


@dataclass
class FakeRealm:
    """``fails_at`` names a call ("PUT execute-actions-email") that answers as if Keycloak went away there."""

    mood: Mood = "well"
    fails_at: str = ""
    seconds: float = 0.0
    people: dict[UUID, Somebody] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    logged_out: list[UUID] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    on_log_out: Callable[[UUID], None] | None = None

    def person(
        self, tenant: UUID | None, role: str = "customer", email: str = "", **state: bool
    ) -> Somebody:
        """Make somebody; ``state`` may say ``enabled`` and ``pending``."""
        user_id = uuid4()
        made = Somebody(
            id=user_id,
            email=email or f"{user_id.hex[:8]}@acme.example",
            tenant=str(tenant) if tenant else None,
            roles={role, "default-roles-pulse"},
            **state,
        )
        self.people[user_id] = made
        return made

    def roles(self, user_id: UUID) -> set[str]:
        return self.people[user_id].roles - {"default-roles-pulse"}

    def changes(self) -> list[str]:
        """Return what was asked beyond reading."""
        return [call for call in self.calls if not call.startswith("GET")]

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(self.seconds)
        if self.mood == "away":
            raise httpx2.ConnectError("nobody listens")
        if request.url.path.endswith("/token"):
            self.tokens.append(f"token {len(self.tokens)}")
            return _json({"access_token": self.tokens[-1], "expires_in": _TOKEN_SECONDS})
        if self.mood == "forbidding":
            return _refusal(403, "HTTP 403 Forbidden")
        if request.headers["authorization"] != f"Bearer {self.tokens[-1]}":
            return _refusal(401, "HTTP 401 Unauthorized")
        path = request.url.path.removeprefix(f"{ADMIN_PATH}/users").strip("/")
        who, _, what = path.partition("/")
        call = f"{request.method} {what}".strip()
        self.calls.append(call)
        if call == self.fails_at:
            raise httpx2.ReadTimeout("no answer")
        body = json.loads(request.content) if request.content else None
        if not who:
            return self._add(body) if request.method == "POST" else self._search(request)
        person = self.people.get(UUID(who))
        if person is None:
            return _refusal(404, "User not found")
        return self._upon(person, call, body)

    def _search(self, request: httpx2.Request) -> httpx2.Response:
        query = request.url.params
        found = sorted(self.people.values(), key=lambda person: person.email)
        if "email" in query:
            found = [person for person in found if person.email == query["email"]]
        if "q" in query:
            found = [person for person in found if query["q"] == f"tenant_id:{person.tenant}"]
        first, most = int(query.get("first", "0")), int(query.get("max", "100"))
        return _json([person.written() for person in found[first : first + most]])

    def _add(self, body: Any) -> httpx2.Response:  # noqa: ANN401 -- any JSON
        if any(person.email == body["email"] for person in self.people.values()):
            return _refusal(409, "User exists with same email")
        if body["email"].startswith("refused"):
            return _refusal(400, "error-invalid-email")
        made = self.person(UUID(body["attributes"]["tenant_id"][0]), email=body["email"])
        made.pending, made.roles = True, {"default-roles-pulse"}
        location = f"http://idp.internal{ADMIN_PATH}/users/{made.id}"
        return httpx2.Response(201, headers={"location": location})

    def _upon(self, person: Somebody, call: str, body: Any) -> httpx2.Response:  # noqa: ANN401 -- any JSON
        read: dict[str, object] = {
            "GET": person.written(),
            "GET role-mappings/realm": _written(person.roles),
            "GET role-mappings/realm/composite": _written(person.roles),
            "GET role-mappings/realm/available": _written({*ROLES} - person.roles),
        }
        if call in read:
            return _json(read[call])
        if call == "PUT execute-actions-email" and self.mood == "without mail":
            return _refusal(500, "Failed to send execute actions email")
        self._do(person, call, body)
        return httpx2.Response(204)

    def _do(self, person: Somebody, call: str, body: Any) -> None:  # noqa: ANN401 -- any JSON
        match call:
            case "POST role-mappings/realm":
                person.roles |= {role["name"] for role in body if role["id"] == _IDS[role["name"]]}
            case "DELETE role-mappings/realm":
                person.roles -= {role["name"] for role in body}
            case "PUT execute-actions-email":
                self.mails.append(person.email)
            case "POST logout":
                self.logged_out.append(person.id)
                if self.on_log_out:
                    self.on_log_out(person.id)
            case "DELETE":
                del self.people[person.id]
            case _:
                raise AssertionError(f"nobody asks {call}")


def _written(roles: set[str]) -> list[dict[str, str]]:
    return [{"id": _IDS[role], "name": role} for role in sorted(roles)]


def _json(body: object) -> httpx2.Response:
    return httpx2.Response(200, content=json.dumps(body))


def _refusal(status: int, message: str) -> httpx2.Response:
    return httpx2.Response(status, content=json.dumps({"errorMessage": message}))
