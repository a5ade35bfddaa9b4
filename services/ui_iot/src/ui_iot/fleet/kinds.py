"""The kinds of operations that are alike but for their names: read, create, change, delete, do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot.operations import Operation
from ui_iot.people import ADMINISTRATORS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic import BaseModel
    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.identity import Principal
    from ui_iot.api_models import Query

    Handler = Callable[[Request, Principal], Awaitable[Response]]


def read(  # noqa: PLR0913, PLR0917 -- one line a route
    name: str,
    summary: str,
    path: str,
    handler: Handler,
    shown: type[BaseModel],
    roles: frozenset[str] = ADMINISTRATORS,
    query: type[Query] | None = None,
) -> Operation:
    return Operation(
        name=name,
        summary=summary,
        method="GET",
        path=path,
        roles=roles,
        handler=handler,
        query=query,
        headers=("If-None-Match",),
        answers={200: shown, 304: None},
        answer_headers=("ETag",),
    )


def create(
    name: str,
    summary: str,
    path: str,
    handler: Handler,
    body: type[BaseModel],
    shown: type[BaseModel],
) -> Operation:
    return Operation(
        name=name,
        summary=summary,
        method="POST",
        path=path,
        roles=ADMINISTRATORS,
        handler=handler,
        headers=("Idempotency-Key",),
        body=body,
        answers={201: shown},
        answer_headers=("Idempotency-Replayed",),
        refusals=frozenset({404, 409, 422}),
    )


def change(
    name: str,
    summary: str,
    path: str,
    handler: Handler,
    body: type[BaseModel],
    shown: type[BaseModel],
) -> Operation:
    return Operation(
        name=name,
        summary=summary,
        method="PUT",
        path=path,
        roles=ADMINISTRATORS,
        handler=handler,
        headers=("If-Match",),
        body=body,
        answers={200: shown},
        answer_headers=("ETag",),
        refusals=frozenset({409, 412, 428}),
    )


def delete(name: str, summary: str, path: str, handler: Handler) -> Operation:
    return Operation(
        name=name,
        summary=summary,
        method="DELETE",
        path=path,
        roles=ADMINISTRATORS,
        handler=handler,
        answers={204: None},
        refusals=frozenset({409, 412}),
    )


def do(  # noqa: PLR0913, PLR0917
    name: str,
    summary: str,
    path: str,
    handler: Handler,
    body: type[BaseModel] | None,
    shown: type[BaseModel],
    status: int = 200,
) -> Operation:
    return Operation(
        name=name,
        summary=summary,
        method="POST",
        path=path,
        roles=ADMINISTRATORS,
        handler=handler,
        body=body,
        answers={status: shown},
        refusals=frozenset({409}),
    )
