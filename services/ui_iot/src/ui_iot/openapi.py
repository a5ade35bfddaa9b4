"""The OpenAPI 3.1 document of /api/v2, made from the operations and from the models that validate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema
from starlette.responses import JSONResponse

from ui_iot.api_models import UUID_SCHEMA, Body, Problem
from ui_iot.conditional import TAG_LIST
from ui_iot.idempotency_key import KEY_PATTERN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel
    from starlette.requests import Request
    from starlette.responses import Response

    from ui_iot.operations import Header, Operation

Schema = dict[str, Any]

_ABOUT = """\
Devices of your tenant: their names, states and readings.

**Pages.** `GET /api/v2/devices` answers 50 devices, newest first, and `next_after`: give it as `after` for the next
page. A device that is added meanwhile moves nothing; the last page has `next_after: null`.

**Creating once.** A `POST` with an `Idempotency-Key` is done once in 24 hours: again with the same body it answers what
it answered then (`Idempotency-Replayed: true`), with another body 422, and while the first is under way 409.

**Changing.** `PATCH` needs the `ETag` that you read, as `If-Match`: 428 without it, 412 when somebody else was faster.

**Team.** `/api/v2/team` is for the tenant's administrators, 25 people a page. Changes need a person who logged in
within the last minutes (401 `step_up_required`), so programs can only read; 409 keeps the last administrator.

**Live.** `wss://…/api/v2/ws`: first `{"type": "authenticate", "token": …}` (no Origin header, the token never in the
URL), then `{"type": "subscribe", "devices": "all" | [ids]}`.
"""
_TOKEN = "bearer"  # noqa: S105 -- a scheme's name
_SESSION: Schema = {"session": []}
_SESSION_AND_CSRF: Schema = {"session": [], "csrf": []}
_DEVICE_ID: Schema = {
    "name": "device_id",
    "in": "path",
    "required": True,
    "description": "In lower case.",
    "schema": {"type": "string", "format": "uuid"},
}
_HEADERS: dict[Header, Schema] = {
    "If-Match": {"required": True, "schema": {"type": "string", "pattern": f"^{TAG_LIST}$"}},
    "If-None-Match": {"schema": {"type": "string", "pattern": f"^{TAG_LIST}$"}},
    "Idempotency-Key": {"schema": {"type": "string", "pattern": f"^{KEY_PATTERN}$"}},
}
_ANSWER_HEADERS: dict[str, Schema] = {
    "ETag": {"required": True, "schema": {"type": "string"}},
    "Location": {"required": True, "schema": {"type": "string"}},
    "Idempotency-Replayed": {"schema": {"const": "true"}},
    "X-CSRF-Token": {"schema": {"type": "string"}},
}


@dataclass(frozen=True, slots=True)
class Document:
    """Made once; the document says nothing of anybody, so anybody may read it."""

    content: Schema

    async def show(self, _: Request) -> Response:
        return JSONResponse(self.content, media_type="application/json")


def describe(operations: Sequence[Operation]) -> Document:
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return Document(
        {
            "openapi": "3.1.0",
            "info": {"title": "Pulse", "version": "2", "description": _ABOUT},
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "paths": paths,
            "components": {
                "schemas": _schemas(operations),
                "securitySchemes": {
                    _TOKEN: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                    "session": {"type": "apiKey", "in": "cookie", "name": "__Host-pulse_session"},
                    "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
                },
            },
        }
    )


def _operation(operation: Operation) -> Schema:
    safe = operation.method == "GET"
    described: Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"For {' and '.join(sorted(operation.roles))}.",
        "security": [{_TOKEN: []}, _SESSION if safe else _SESSION_AND_CSRF],
        "parameters": _parameters(operation),
        "responses": {
            **{str(status): _answer(operation, status) for status in operation.answers},
            **{str(status): _problem(status) for status in sorted(operation.all_refusals())},
        },
    }
    if operation.body:
        content = {"application/json": {"schema": _reference(operation.body)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _parameters(operation: Operation) -> list[Schema]:
    found: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": UUID_SCHEMA}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    if operation.query:
        for name, schema in operation.query.model_json_schema()["properties"].items():
            found.append({"name": name, "in": "query", "schema": _without_null(schema)})
    return found + [{"name": name, "in": "header", **_HEADERS[name]} for name in operation.headers]


def _without_null(schema: Schema) -> Schema:
    """A query string has no null: what may be absent is simply not required."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    rest = {k: v for k, v in schema.items() if k not in {"anyOf", "title"} and v is not None}
    return {**rest, **(kinds[0] if kinds else {})}


def _answer(operation: Operation, status: int) -> Schema:
    model = operation.answers[status]
    described: Schema = {"description": HTTPStatus(status).phrase}
    if operation.answer_headers:
        described["headers"] = {name: _ANSWER_HEADERS[name] for name in operation.answer_headers}
    if model:
        described["content"] = {"application/json": {"schema": _reference(model)}}
    return described


def _problem(status: int) -> Schema:
    content = {"application/problem+json": {"schema": _reference(Problem)}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _schemas(operations: Sequence[Operation]) -> Schema:
    named: set[type[BaseModel]] = {Problem}
    for operation in operations:
        named |= {model for model in (operation.body, *operation.answers.values()) if model}
    ordered = sorted(named, key=lambda model: model.__name__)
    _, document = models_json_schema(
        [
            (model, "validation" if issubclass(model, Body) else "serialization")
            for model in ordered
        ],
        ref_template="#/components/schemas/{model}",
    )
    found: Schema = document["$defs"]
    return found


def _reference(model: type[BaseModel]) -> Schema:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
