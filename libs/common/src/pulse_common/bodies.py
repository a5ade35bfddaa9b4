"""Bytes of a request to a typed value, refusing what is too large, too deep, or not what the model says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from pulse_common.errors import Malformed, TooLarge

if TYPE_CHECKING:
    from starlette.requests import Request

DEFAULT_BODY_LIMIT = 64 * 1024
DEEPEST_JSON = 32
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
