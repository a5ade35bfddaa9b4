"""Routes that must say who may call them, and answers that leak nothing.

There are two kinds of endpoint and no default between them: ``Guarded`` names the roles it is for, ``Open`` the reason
it needs none.  Errors are RFC 9457 problem documents.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import structlog
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from pulse_common.errors import AppError, Forbidden, Malformed, TooLarge
from pulse_common.identity import Principal
from pulse_common.observe import ObserveRequests

if TYPE_CHECKING:
    from starlette.requests import Request

log = structlog.get_logger(__name__)

Reply = Awaitable[Response]
Authenticate = Callable[["Request"], Awaitable[Principal]]
"""Turns a request into its verified caller, or raises ``Unauthenticated``."""

DEFAULT_BODY_LIMIT = 64 * 1024
DEEPEST_JSON = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """For callers who hold at least one of ``roles``."""

    method: str
    path: str
    roles: frozenset[str]
    handler: Callable[[Request, Principal], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """For anybody; ``why`` says the reason."""

    method: str
    path: str
    why: str
    handler: Callable[[Request], Reply]


Endpoint = Guarded | Open
M = TypeVar("M", bound=BaseModel)


async def read_body(request: Request, limit: int = DEFAULT_BODY_LIMIT) -> bytes:
    """Return the raw body.

    Raises:
        TooLarge: as soon as more than ``limit`` bytes have arrived.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"the body may hold at most {limit} bytes")
    return bytes(body)


async def read_model(request: Request, model: type[M], limit: int = DEFAULT_BODY_LIMIT) -> M:
    """Parse a JSON body into ``model``.

    Raises:
        TooLarge: over ``limit`` bytes.
        Malformed: not JSON, too deep, or not of the model's shape; names the fields, never repeats their values.
    """
    return parse_model(await read_body(request, limit), model)


def parse_model(body: bytes, model: type[M]) -> M:
    """As ``read_model``, for bytes already read."""
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
        _refuse_bad_text(value, 0)
    except (ValueError, RecursionError) as error:
        raise Malformed("the body is not JSON") from error
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in found)
        raise Malformed(wrong[:1000]) from None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _refuse_bad_text(value: object, depth: int) -> None:
    """Refuse what JSON can carry and PostgreSQL or UTF-8 can't: NUL, lone surrogates, bottomless nesting."""
    if depth > DEEPEST_JSON:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("NUL in a string")
        value.encode()  # a lone surrogate raises UnicodeEncodeError, a ValueError
    elif isinstance(value, list):
        for item in value:
            _refuse_bad_text(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_bad_text(key, depth + 1)
            _refuse_bad_text(item, depth + 1)


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
    extra_routes: Sequence[BaseRoute] = (),
    error_page: Callable[[Request, AppError], Response | None] | None = None,
) -> Starlette:
    """Make the application of one service.  ``extra_routes`` are mounts and WebSockets, which guard themselves.

    ``error_page`` may answer an error in another form (HTML for browsers); None from it means problem JSON.
    """

    async def on_app_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, AppError)
        page = error_page(request, error) if error_page else None
        return page or problem(error)

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return await on_app_error(request, _from_status(error.status_code))

    async def on_bug(request: Request, _: Exception) -> Response:
        return await on_app_error(
            request, _Bug("the server could not answer; the error was logged")
        )

    app = Starlette(
        routes=[*(_route(endpoint, authenticate) for endpoint in endpoints), *extra_routes],
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


def _route(endpoint: Endpoint, authenticate: Authenticate) -> Route:
    async def call(request: Request) -> Response:
        if isinstance(endpoint, Open):
            return await endpoint.handler(request)
        principal = await authenticate(request)
        structlog.contextvars.bind_contextvars(
            actor_id=principal.subject,
            tenant_id=str(principal.tenant) if principal.tenant else None,
        )
        if endpoint.roles.isdisjoint(principal.roles):
            raise Forbidden("your role does not allow this")
        return await endpoint.handler(request, principal)

    return Route(endpoint.path, call, methods=[endpoint.method])


def bearer_token(request: Request) -> str | None:
    """Return the bearer token of ``Authorization`` (RFC 6750), or None."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None
