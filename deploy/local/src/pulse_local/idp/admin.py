"""The part of Keycloak's admin API that a team page needs: people, their roles, their sessions, invitations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pulse_local.idp import representations
from pulse_local.idp.admin_requests import Refused, number, read_json, read_object, read_roles
from pulse_local.idp.invitations import ACTIONS, LONGEST_SECONDS
from pulse_local.idp.people import ROLES, NameTaken, Person
from pulse_local.idp.realm import ADMIN_CLIENT_ID
from pulse_local.idp.representations import BadPerson

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from pulse_local.idp.back_channel import BackChannel
    from pulse_local.idp.invitations import Invitations
    from pulse_local.idp.server import ProtocolServer

    Handler = Callable[[Request, Person], Awaitable[Response]]

PATH = "/admin/realms/pulse"
DEFAULT_PAGE = 100
_METHODS = ["GET", "POST", "PUT", "DELETE"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminApi:
    server: ProtocolServer
    invitations: Invitations
    back_channel: BackChannel

    def routes(self) -> list[Route]:
        """Give every route; whatever else there is in Keycloak's admin API is forbidden to the team page."""
        of_person: dict[tuple[str, str], Handler] = {
            ("GET", ""): self._read,
            ("PUT", ""): self._change,
            ("DELETE", ""): self._remove,
            ("PUT", "/reset-password"): self._set_password,
            ("PUT", "/execute-actions-email"): self._invite,
            ("GET", "/sessions"): self._sessions,
            ("POST", "/logout"): self._log_out,
            ("GET", "/role-mappings/realm"): self._roles,
            ("GET", "/role-mappings/realm/composite"): self._roles,
            ("GET", "/role-mappings/realm/available"): self._available_roles,
            ("POST", "/role-mappings/realm"): self._grant,
            ("DELETE", "/role-mappings/realm"): self._withdraw,
        }
        return [
            Route(f"{PATH}/users", self._guard(self._search), methods=["GET"]),
            Route(f"{PATH}/users", self._guard(self._add), methods=["POST"]),
            Route(f"{PATH}/users/count", self._guard(self._count), methods=["GET"]),
            Route(f"{PATH}/users/profile", self._guard(_forbidden), methods=_METHODS),
            *(
                Route(
                    f"{PATH}/users/{{subject}}{suffix}",
                    self._guard(self._with_person(handler)),
                    methods=[method],
                )
                for (method, suffix), handler in of_person.items()
            ),
            Route(f"{PATH}{{rest:path}}", self._guard(_forbidden), methods=_METHODS),
        ]

    def _guard(
        self, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            kind, _, token = request.headers.get("authorization", "").partition(" ")
            claims = self.server.minter.read_access_token(token) if kind == "Bearer" else None
            if claims is None:
                return JSONResponse({"error": "HTTP 401 Unauthorized"}, 401)
            if claims["azp"] != ADMIN_CLIENT_ID:
                return JSONResponse({"error": "HTTP 403 Forbidden"}, 403)
            try:
                return await handler(request)
            except Refused as refused:
                return JSONResponse(refused.body, refused.status)
            except BadPerson as error:
                return JSONResponse({"errorMessage": str(error)}, 400)
            except NameTaken:
                return JSONResponse({"errorMessage": "User exists with same email"}, 409)

        return guarded

    def _with_person(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def found(request: Request) -> Response:
            person = self.server.realm.people.find(request.path_params["subject"])
            if person is None:
                raise Refused(404, "User not found", "error")
            return await handler(request, person)

        return found

    async def _search(self, request: Request) -> Response:
        first, most = number(request, "first", 0), number(request, "max", DEFAULT_PAGE)
        found = self._matching(request)[first : first + most]
        return JSONResponse([representations.written(person) for person in found])

    async def _count(self, request: Request) -> Response:
        return JSONResponse(len(self._matching(request)))

    def _matching(self, request: Request) -> list[Person]:
        query = request.query_params
        found = self.server.realm.people.in_order()
        for name in ("username", "email"):
            if name in query:
                found = [p for p in found if _same(query, p.username, query[name])]
        if "search" in query:
            text = query["search"].lower()
            found = [p for p in found if text in f"{p.username} {p.name}".lower()]
        if "q" in query:
            attribute, _, value = query["q"].partition(":")
            found = [p for p in found if attribute == "tenant_id" and p.tenant == value]
        return found

    async def _add(self, request: Request) -> Response:
        now = int(self.server.clock())
        blank = Person(subject=str(uuid4()), username="", enabled=False, created_at=now)
        person = representations.changed(blank, await read_object(request))
        self.server.realm.people.keep(person)
        log.info("person_added", subject=person.subject)
        location = f"{request.url.replace(query='')}/{person.subject}"
        return Response(status_code=201, headers={"location": location})

    async def _read(self, _: Request, person: Person) -> Response:
        return JSONResponse(representations.written(person))

    async def _change(self, request: Request, person: Person) -> Response:
        self.server.realm.people.keep(representations.changed(person, await read_object(request)))
        return Response(status_code=204)

    async def _remove(self, _: Request, person: Person) -> Response:
        # As Keycloak does: the application is not told, so whoever removes somebody ends their sessions first.
        for session in self.server.sessions.of(person.subject):
            self.server.sessions.end(session.id)
        self.server.realm.people.remove(person.subject)
        log.info("person_removed", subject=person.subject)
        return Response(status_code=204)

    async def _set_password(self, request: Request, person: Person) -> Response:
        wanted = await read_object(request)
        self.server.realm.people.keep(representations.with_password(person, wanted))
        return Response(status_code=204)

    async def _invite(self, request: Request, person: Person) -> Response:
        query, client = request.query_params, self.server.realm.client
        actions = await read_json(request)
        if not isinstance(actions, list) or not actions or not set(actions) <= ACTIONS:
            raise Refused(400, "Provided invalid required actions")
        target = query.get("redirect_uri", "")
        if target and "client_id" not in query:
            raise Refused(400, "Client id missing")
        if query.get("client_id", client.client_id) != client.client_id:
            raise Refused(400, "Client doesn't exist")
        if target and not client.check_redirect_uri(target):
            raise Refused(400, "Invalid redirect uri.")
        if not person.enabled:
            raise Refused(400, "User is disabled")
        seconds = min(number(request, "lifespan", LONGEST_SECONDS), LONGEST_SECONDS)
        try:
            await self.invitations.send(person, target, seconds)
        except OSError as error:
            raise Refused(500, "Failed to send execute actions email") from error
        return Response(status_code=204)

    async def _sessions(self, _: Request, person: Person) -> Response:
        found = self.server.sessions.of(person.subject)
        return JSONResponse(
            [
                {
                    "id": session.id,
                    "userId": person.subject,
                    "username": person.username,
                    "start": session.started_at * 1000,
                    "lastAccess": session.used_at * 1000,
                }
                for session in found
            ]
        )

    async def _log_out(self, _: Request, person: Person) -> Response:
        for session in self.server.sessions.of(person.subject):
            self.server.sessions.end(session.id)
            await self.back_channel.tell(session)
        return Response(status_code=204)

    async def _roles(self, _: Request, person: Person) -> Response:
        return JSONResponse([representations.role(name) for name in sorted(person.roles)])

    async def _available_roles(self, _: Request, person: Person) -> Response:
        others = [name for name in ROLES if name not in person.roles]
        return JSONResponse([representations.role(name) for name in others])

    async def _grant(self, request: Request, person: Person) -> Response:
        self.server.realm.people.grant(person, await read_roles(request))
        return Response(status_code=204)

    async def _withdraw(self, request: Request, person: Person) -> Response:
        self.server.realm.people.withdraw(person, await read_roles(request))
        return Response(status_code=204)


async def _forbidden(_: Request) -> Response:
    raise Refused(403, "HTTP 403 Forbidden", "error")


def _same(query: Any, value: str, wanted: str) -> bool:  # noqa: ANN401 -- Starlette's query
    text = wanted.strip().lower()
    return value == text if query.get("exact") == "true" else text in value
