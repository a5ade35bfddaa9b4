"""Reads query strings and forms: each parameter once, in UTF-8, within limits, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from starlette.requests import Request

LONGEST_FORM = 32 * 1024
LONGEST_QUERY = 8 * 1024
MOST_FIELDS = 50


class BadParameters(Exception):  # noqa: N818 -- reads as an outcome
    """The parameters cannot be read; the message is safe to show."""


def read_query(request: Request) -> dict[str, str]:
    raw: bytes = request.scope["query_string"]
    if len(raw) > LONGEST_QUERY:
        raise BadParameters("The address is too long.")
    return _read(raw)


async def read_form(request: Request) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadParameters("The form must be sent as application/x-www-form-urlencoded.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            raise BadParameters("The form is too long.")
    return _read(bytes(body))


def _read(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as error:
        raise BadParameters("The parameters cannot be read.") from error
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        # RFC 6749, 3.1: two readers might each believe another one of them.
        raise BadParameters("A parameter is given twice.")
    return parameters
