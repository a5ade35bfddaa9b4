"""Reads what the admin API is asked: numbers, bodies and roles, or a refusal in Keycloak's words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pulse_local.idp import representations

if TYPE_CHECKING:
    from starlette.requests import Request

LONGEST_BODY = 64 * 1024


class Refused(Exception):  # noqa: N818 -- reads as an outcome
    def __init__(self, status: int, message: str, name: str = "errorMessage") -> None:
        super().__init__(message)
        self.status = status
        self.body = {name: message}


def number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise Refused(400, f"{name} is not a number", "error")
    return int(text)


async def read_roles(request: Request) -> set[str]:
    found = representations.read_roles(await read_json(request))
    if found is None:
        raise Refused(404, "Role not found", "error")
    return found


async def read_object(request: Request) -> dict[str, Any]:
    found = await read_json(request)
    if not isinstance(found, dict):
        raise Refused(400, "unable to read contents from stream", "error")
    return found


async def read_json(request: Request) -> Any:  # noqa: ANN401 -- any JSON
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY:
            raise Refused(413, "the body is too long", "error")
    try:
        return json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise Refused(400, "unable to read contents from stream", "error") from error
