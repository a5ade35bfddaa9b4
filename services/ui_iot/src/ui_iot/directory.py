"""The realm's people, by Keycloak's admin API: the only code that calls it.

It may touch anybody of the realm, since Keycloak has no smaller right for inviting, so who may be touched is decided
before each call (``team.py``).  Every id in a path is a UUID that was parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx2
import structlog
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from pulse_common.errors import Conflict, Malformed, NotFound, Unavailable
from pulse_common.identity import TENANT_ROLES
from ui_iot.admin_token import AWAY, AdminToken
from ui_iot.members import Account

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

    from pulse_common.clock import Clock
    from pulse_common.identity import TenantId
    from ui_iot.members import TeamRole

log = structlog.get_logger(__name__)

INVITATION_SECONDS = 12 * 3600
_ACTIONS = ["VERIFY_EMAIL", "UPDATE_PASSWORD"]
_UNAUTHORIZED, _NOT_FOUND, _CONFLICT, _BAD = 401, 404, 409, 400


class AddressTaken(Conflict):
    """Somebody of the realm has this address."""


class _User(BaseModel):
    """Keycloak's UserRepresentation, as far as it matters here."""

    id: UUID
    email: str = ""
    username: str = ""
    first_name: str = Field(default="", alias="firstName")
    last_name: str = Field(default="", alias="lastName")
    enabled: bool = False
    email_verified: bool = Field(default=False, alias="emailVerified")
    required_actions: list[str] = Field(default_factory=list, alias="requiredActions")
    attributes: dict[str, list[str]] = Field(default_factory=dict)
    created: int | None = Field(default=None, alias="createdTimestamp")

    def account(self) -> Account:
        tenants = self.attributes.get("tenant_id", [])
        return Account(
            id=self.id,
            email=self.email or self.username,
            name=f"{self.first_name} {self.last_name}".strip(),
            tenant=tenants[0] if len(tenants) == 1 else None,
            enabled=self.enabled,
            awaits_password=not self.email_verified
            and not {*_ACTIONS}.isdisjoint(self.required_actions),
            added_at=datetime.fromtimestamp(self.created / 1000, UTC) if self.created else None,
        )


class _Role(BaseModel):
    id: UUID
    name: str


_USERS = TypeAdapter(list[_User])
_ROLES = TypeAdapter(list[_Role])
_USER = TypeAdapter(_User)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Every method raises ``Unavailable`` when Keycloak is away, or does not let us: nobody's fault who asks."""

    http: httpx2.AsyncClient
    admin_url: str
    token: AdminToken
    client_id: str
    """Where an invited person is led when they have chosen a password."""

    async def search(self, tenant: TenantId, first: int, most: int) -> Sequence[Account]:
        """Return people whose ``tenant_id`` is this, by name, from the ``first``."""
        query = {"q": f"tenant_id:{tenant}", "first": str(first), "max": str(most)}
        answer = await self._call("GET", "/users", query={**query, "briefRepresentation": "false"})
        return [user.account() for user in _read(_USERS, answer)]

    async def find(self, user_id: UUID) -> Account | None:
        answer = await self._call("GET", f"/users/{user_id}")
        return None if answer.status_code == _NOT_FOUND else _read(_USER, answer).account()

    async def find_address(self, email: str) -> Account | None:
        query = {"email": email, "exact": "true", "briefRepresentation": "false"}
        found = _read(_USERS, await self._call("GET", "/users", query=query))
        return found[0].account() if found else None

    async def roles_of(self, user_id: UUID) -> frozenset[str]:
        """Return every realm role of somebody, those by way of a group or another role included."""
        answer = await self._call("GET", f"/users/{user_id}/role-mappings/realm/composite")
        if answer.status_code == _NOT_FOUND:
            return frozenset()
        return frozenset(role.name for role in _read(_ROLES, answer))

    async def add(self, email: str, tenant: TenantId) -> UUID:
        """Make somebody of ``tenant`` who has no password and no role yet.

        Raises:
            AddressTaken: somebody has the address.
            Malformed: Keycloak does not take it.
        """
        body = {
            "username": email,
            "email": email,
            "emailVerified": False,
            "enabled": True,
            "attributes": {"tenant_id": [str(tenant)]},
            "requiredActions": _ACTIONS,
        }
        answer = await self._call("POST", "/users", body)
        if answer.status_code == _CONFLICT:
            raise AddressTaken("somebody has this address")
        if answer.status_code == _BAD:
            raise Malformed("this e-mail address cannot be used")
        try:
            return UUID(answer.headers.get("location", "").rpartition("/")[2])
        except ValueError as error:
            raise Unavailable(AWAY) from error

    async def set_role(self, user_id: UUID, role: TeamRole) -> None:
        """Give ``role`` and take the tenant's other one; the new one first, so that nobody is left without."""
        path = f"/users/{user_id}/role-mappings/realm"
        available = _read(_ROLES, await self._call("GET", f"{path}/available"))
        wanted = [found for found in available if found.name == role]
        if wanted:
            _done(await self._call("POST", path, _named(wanted)))
        held = _read(_ROLES, await self._call("GET", path))
        others = [found for found in held if found.name in TENANT_ROLES and found.name != role]
        if others:
            _done(await self._call("DELETE", path, _named(others)))

    async def invite(self, user_id: UUID) -> None:
        """Send the mail whose link lets somebody choose a password."""
        query = {"client_id": self.client_id, "lifespan": str(INVITATION_SECONDS)}
        path = f"/users/{user_id}/execute-actions-email"
        _done(await self._call("PUT", path, _ACTIONS, query=query))

    async def log_out(self, user_id: UUID) -> None:
        """End every log-in of somebody, and have the applications told of it."""
        _done(await self._call("POST", f"/users/{user_id}/logout"))

    async def remove(self, user_id: UUID) -> None:
        """Delete somebody; whoever is gone already is gone."""
        answer = await self._call("DELETE", f"/users/{user_id}")
        if answer.status_code != _NOT_FOUND:
            _done(answer)

    async def _call(
        self, method: str, path: str, json: object = None, *, query: dict[str, str] | None = None
    ) -> httpx2.Response:
        """Return a good answer, or one of the refusals that are about what was asked."""
        token = await self.token.get()
        answer = await self._ask(method, path, json, query, token)
        if answer.status_code == _UNAUTHORIZED:  # its keys were replaced, say
            self.token.forget(token)
            answer = await self._ask(method, path, json, query, await self.token.get())
        if not answer.is_success and answer.status_code not in {_BAD, _NOT_FOUND, _CONFLICT}:
            log.error("admin_call_failed", method=method, status=answer.status_code)
            raise Unavailable("the identity provider could not do it; nothing is lost, try again")
        return answer

    async def _ask(
        self, method: str, path: str, json: object, query: dict[str, str] | None, token: str
    ) -> httpx2.Response:
        try:
            return await self.http.request(
                method,
                f"{self.admin_url}{path}",
                json=json,
                params=query,
                headers={"authorization": f"Bearer {token}"},
            )
        except httpx2.RequestError as error:
            raise Unavailable(AWAY) from error


def open_directory(
    *,
    http: httpx2.AsyncClient,
    internal_url: str,
    client_id: str,
    secret: SecretStr,
    invite_to: str,
    clock: Clock,
) -> Directory:
    """Reach the admin API of the realm whose address inside is ``internal_url``."""
    server, _, realm = internal_url.rpartition("/realms/")
    token = AdminToken(
        http=http,
        token_url=f"{internal_url}/protocol/openid-connect/token",
        client_id=client_id,
        client_secret=secret,
        clock=clock,
    )
    return Directory(
        http=http, admin_url=f"{server}/admin/realms/{realm}", token=token, client_id=invite_to
    )


def _named(roles: list[_Role]) -> list[dict[str, str]]:
    return [{"id": str(role.id), "name": role.name} for role in roles]


def _done(answer: httpx2.Response) -> None:
    if answer.status_code == _NOT_FOUND:
        raise NotFound("no such member")
    if not answer.is_success:
        log.error("admin_call_refused", status=answer.status_code)
        raise Conflict("the identity provider refused this")


def _read(shape: TypeAdapter[Any], answer: httpx2.Response) -> Any:  # noqa: ANN401 -- whatever the shape is of
    try:
        return shape.validate_json(answer.content)
    except ValidationError as error:
        log.error("admin_answer_not_understood", status=answer.status_code)  # noqa: TRY400 -- the body stays out of the log
        raise Unavailable(AWAY) from error
