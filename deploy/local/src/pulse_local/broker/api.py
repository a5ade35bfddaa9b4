"""The management API: the paths of EMQX 5 that Pulse uses, behind a key and its secret."""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pulse_local.broker import api_answers as answers
from pulse_local.broker import api_requests as requests
from pulse_local.broker.api_requests import BadRequest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from pulse_local.broker.clients import Clients

STATUS_PATH = "/api/v5/status"


class KeyRequired:
    """Refuses every request without the key and its secret; only the health probe is open."""

    def __init__(self, app: ASGIApp, *, key: str, secret: str) -> None:
        self.app = app
        self.expected = b"Basic " + base64.b64encode(f"{key}:{secret}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == STATUS_PATH or self.knows(scope):
            await self.app(scope, receive, send)
            return
        answer = answers.refusal(401, "BAD_API_KEY_OR_SECRET", "Check api_key/api_secret")
        await answer(scope, receive, send)

    def knows(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, self.expected)


class Api:
    def __init__(self, clients: Clients) -> None:
        self.clients = clients

    async def status(self, _: Request) -> Response:
        return PlainTextResponse(f"Node {answers.NODE} is started\nemqx is running")

    async def list_clients(self, request: Request) -> Response:
        number, limit = requests.parse_paging(request)
        wanted = request.query_params
        found = [answers.describe_client(one) for one in self.clients.last_presences.values()]
        for name in ("clientid", "username", "ip_address"):
            if name in wanted:
                allowed = set(wanted.getlist(name))
                found = [client for client in found if client[name] in allowed]
        if "conn_state" in wanted:
            connected = wanted["conn_state"] == "connected"
            found = [client for client in found if client["connected"] is connected]
        return answers.page(found, number, limit)

    async def show_client(self, request: Request) -> Response:
        presence = self.clients.last_presences.get(request.path_params["client_id"])
        if presence is None:
            return answers.client_not_found()
        return JSONResponse(answers.describe_client(presence))

    async def kick(self, request: Request) -> Response:
        if not self.clients.kick(request.path_params["client_id"]):
            return answers.client_not_found()
        return answers.no_content()

    async def kick_many(self, request: Request) -> Response:
        for client_id in requests.parse_names(await requests.read_json(request)):
            self.clients.kick(client_id)
        return answers.no_content()

    async def forget_decisions(self, request: Request) -> Response:
        presence = self.clients.presences.get(request.path_params["client_id"])
        if presence is None:
            return answers.client_not_found()
        presence.authorization.forget()
        return answers.no_content()

    async def forget_all_decisions(self, _: Request) -> Response:
        for presence in self.clients.presences.values():
            presence.authorization.forget()
        return answers.no_content()

    async def list_bans(self, request: Request) -> Response:
        number, limit = requests.parse_paging(request)
        bans = [answers.describe_ban(ban) for ban in self.clients.bans.current()]
        return answers.page(bans, number, limit)

    async def ban(self, request: Request) -> Response:
        ban = requests.parse_ban(await requests.read_json(request), self.clients.clock())
        if not self.clients.bans.add(ban):
            return answers.refusal(400, "ALREADY_EXISTS", "Already exists")
        return JSONResponse(answers.describe_ban(ban))

    async def unban(self, request: Request) -> Response:
        kind, who = request.path_params["kind"], request.path_params["who"]
        if not self.clients.bans.remove(kind, who):
            return answers.refusal(404, "NOT_FOUND", f"{kind}: {who} not found")
        return answers.no_content()

    async def publish(self, request: Request) -> Response:
        message = requests.parse_message(await requests.read_json(request))
        published = self.clients.deliver(message)
        if not published.kept:
            return answers.refusal(503, "SERVICE_UNAVAILABLE", "a subscriber's queue is full")
        if published.subscribers == 0:
            body = {"reason_code": 16, "message": "no_matching_subscribers"}
            return JSONResponse(body, 202)
        return JSONResponse({"id": secrets.token_hex(16).upper()})

    async def list_retained(self, request: Request) -> Response:
        number, limit = requests.parse_paging(request)
        kept = self.clients.retained.matching(request.query_params.get("topic", "#"))
        return answers.page([answers.describe_retained(one) for one in kept], number, limit)

    async def purge_retained(self, request: Request) -> Response:
        if not self.clients.retained.purge(request.path_params["topic"]):
            return answers.refusal(404, "NOT_FOUND", "Viewed message doesn't exist")
        return answers.no_content()


def bad_request(_: Request, error: Exception) -> Response:
    return answers.refusal(400, "BAD_REQUEST", str(error))


def build_api(clients: Clients, *, key: str, secret: str) -> Starlette:
    api = Api(clients)
    routes = [
        Route(STATUS_PATH, api.status),
        Route("/api/v5/clients", api.list_clients),
        Route("/api/v5/clients/kickout/bulk", api.kick_many, methods=["POST"]),
        Route(
            "/api/v5/clients/{client_id:path}/authorization/cache",
            api.forget_decisions,
            methods=["DELETE"],
        ),
        # :path, because a client id may hold a slash, which arrives decoded.
        Route("/api/v5/clients/{client_id:path}", api.show_client),
        Route("/api/v5/clients/{client_id:path}", api.kick, methods=["DELETE"]),
        Route("/api/v5/authorization/cache", api.forget_all_decisions, methods=["DELETE"]),
        Route("/api/v5/banned", api.list_bans),
        Route("/api/v5/banned", api.ban, methods=["POST"]),
        Route("/api/v5/banned/{kind}/{who:path}", api.unban, methods=["DELETE"]),
        Route("/api/v5/publish", api.publish, methods=["POST"]),
        Route("/api/v5/mqtt/retainer/messages", api.list_retained),
        Route("/api/v5/mqtt/retainer/message/{topic:path}", api.purge_retained, methods=["DELETE"]),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(KeyRequired, key=key, secret=secret)],
        exception_handlers={BadRequest: bad_request},
    )
