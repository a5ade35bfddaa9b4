"""Read an HTML form: URL-encoded, small, once."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from pulse_common.errors import Malformed
from pulse_common.http import read_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

LONGEST_FORM = 32 * 1024
MOST_FIELDS = 150


async def read_form(request: Request) -> Mapping[str, str]:
    """Return the fields; none when the body is something else, which is then left unread.

    The CSRF check and the handler both ask, so the answer is kept with the request.

    Raises:
        TooLarge, Malformed: the body is too long, or not text.
    """
    known: Mapping[str, str] | None = getattr(request.state, "form", None)
    if known is not None:
        return known
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return {}
    request.state.form = _parse(await read_body(request, LONGEST_FORM))
    return dict(request.state.form)


def _parse(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise Malformed("the form cannot be read") from error
    if any("\x00" in text for pair in pairs for text in pair):
        raise Malformed("the form cannot be read")
    return dict(pairs)
