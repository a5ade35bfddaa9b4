"""Routes that must say who may call them, and answers that leak nothing.

There are two kinds of endpoint and no default between them: ``Guarded`` names the roles it is for, ``Open`` the reason
it needs none.  Rate limits are declared beside them.  Errors are RFC 9457 problem documents.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from pulse_common import origin, ratelimit
from pulse_common.bodies import DEFAULT_BODY_LIMIT, parse_model, read_body, read_model
from pulse_common.errors import AppError, Forbidden, Malformed, Unauthenticated
from pulse_common.identity import Principal
from pulse_common.observe import ObserveRequests

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request

    from pulse_common.ratelimit import Limit, Limiter

log = structlog.get_logger(__name__)

Reply = Awaitable[Response]
Authenticate = Callable[["Request"], Awaitable[Principal]]
"""Turns a request into its verified caller, or raises ``Unauthenticated``."""
OnRefused = Callable[["HTTPConnection", Unauthenticated], Awaitable[None]]
"""Told of each refused credential before the answer goes out; must not raise (``pulse_common.auth_audit``)."""

__all__ = [
    "DEFAULT_BODY_LIMIT",
    "Authenticate",
    "Endpoint",
    "Guarded",
    "OnRefused",
    "Open",
    "bearer_token",
    "build_app",
    "parse_model",
    "problem",
    "read_body",
    "read_model",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """For callers who hold at least one of ``roles``."""

    method: str
    path: str
    roles: frozenset[str]
    handler: Callable[[Request, Principal], Reply]
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """For anybody; ``why`` says the reason."""

    method: str
    path: str
    why: str
    handler: Callable[[Request], Reply]
    limits: tuple[Limit, ...] = ()


Endpoint = Guarded | Open


def problem(error: AppError) -> JSONResponse:
    body = {
        "type": f"urn:pulse:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.message,
    }
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id:
        body["instance"] = f"urn:pulse:request:{request_id}"
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else None  # noqa: PLR2004
    return JSONResponse(body, error.status, headers, media_type="application/problem+json")


def build_app(
    endpoints: Sequence[Endpoint],
    authenticate: Authenticate,
    *,
    limiter: Limiter | None = None,
    on_refused: OnRefused | None = None,
    extra_routes: Sequence[BaseRoute] = (),
    error_page: Callable[[Request, AppError], Response | None] | None = None,
) -> Starlette:
    """Make the application of one service.  ``extra_routes`` are mounts and WebSockets, which guard themselves.

    ``error_page`` may answer an error in another form (HTML for browsers); None from it means problem JSON.

    Raises:
        ValueError: an endpoint declares limits that nothing would enforce.
    """
    door = _Door(authenticate, limiter, on_refused)

    async def on_app_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, AppError)
        page = error_page(request, error) if error_page else None
        answer = page or problem(error)
        answer.headers.update(ratelimit.headers(request))
        return answer

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return await on_app_error(request, _from_status(error.status_code))

    async def on_bug(request: Request, _: Exception) -> Response:
        return await on_app_error(
            request, _Bug("the server could not answer; the error was logged")
        )

    app = Starlette(
        routes=[*(_route(endpoint, door) for endpoint in endpoints), *extra_routes],
        exception_handlers={
            AppError: on_app_error,
            HTTPException: on_http_error,
            Exception: on_bug,
        },
    )
    app.add_middleware(ObserveRequests)
    return app


class _Bug(AppError):  # noqa: N818
    status = 500
    code = "internal"
    title = "Something went wrong here"


class _NoSuchPath(AppError):  # noqa: N818
    status = 404
    code = "not_found"
    title = "There is nothing here"


class _WrongMethod(AppError):  # noqa: N818
    status = 405
    code = "method_not_allowed"
    title = "This method is not allowed here"


def _from_status(status: int) -> AppError:
    """Say what Starlette's own routing refused in our words."""
    if status == 404:  # noqa: PLR2004 -- HTTP's number
        return _NoSuchPath("there is nothing at this path")
    if status == 405:  # noqa: PLR2004
        return _WrongMethod("this path does not take that method")
    return Malformed("the request was refused")


@dataclass(frozen=True, slots=True)
class _Door:
    """What stands before every handler: limits per address, credentials, roles, limits per caller."""

    authenticate: Authenticate
    limiter: Limiter | None
    on_refused: OnRefused | None

    async def principal_for(self, endpoint: Guarded, request: Request) -> Principal:
        try:
            principal = await self.authenticate(request)
        except Unauthenticated as error:
            if self.on_refused:
                await self.on_refused(request, error)
            raise
        structlog.contextvars.bind_contextvars(
            actor_id=principal.subject,
            tenant_id=str(principal.tenant) if principal.tenant else None,
        )
        if endpoint.roles.isdisjoint(principal.roles):
            raise Forbidden("your role does not allow this")
        if self.limiter:
            await self.limiter.count_principal(request, endpoint.limits, principal)
        return principal

    async def answer(self, endpoint: Endpoint, request: Request) -> Response:
        origin.arrive(request, self.limiter.address_of if self.limiter else None)
        if self.limiter:
            await self.limiter.count_address(request, endpoint.limits)
        if isinstance(endpoint, Open):
            return await endpoint.handler(request)
        principal = await self.principal_for(endpoint, request)
        return await endpoint.handler(request, principal)


def _route(endpoint: Endpoint, door: _Door) -> Route:
    if endpoint.limits and door.limiter is None:
        raise ValueError(f"{endpoint.path} declares limits, and nothing enforces them")
    ratelimit.check_declared(endpoint.limits, has_principal=isinstance(endpoint, Guarded))

    async def call(request: Request) -> Response:
        answer = await door.answer(endpoint, request)
        answer.headers.update(ratelimit.headers(request))
        return answer

    return Route(endpoint.path, call, methods=[endpoint.method])


async def nobody(_: Request) -> NoReturn:
    """Stand at the door of a service that has no guarded routes."""
    raise Unauthenticated("there is nothing to sign in to here")


def bearer_token(request: Request) -> str | None:
    """Return the bearer token of ``Authorization`` (RFC 6750), or None."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None
