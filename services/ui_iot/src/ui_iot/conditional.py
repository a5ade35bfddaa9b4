"""Entity tags: answers that a client need not fetch twice, and changes that overwrite nobody else's (RFC 9110, 13).

A device's tag has two parts, ``"v3-…"``: the version of what a client may change, and a digest of all that is shown,
last readings included.  If-None-Match compares the whole tag, so it never hides a new reading.  If-Match compares the
version alone: a rename must lose to another rename, not to a reading that came in between.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from starlette.responses import Response

from pulse_common.errors import Malformed, Stale, Unconditional

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.requests import Request

TAG_LIST = r'(\*|[ \t]*(W/)?"[!#-~]*"[ \t]*(,[ \t]*(W/)?"[!#-~]*"[ \t]*)*)'
_TAG = re.compile(r'(W/)?"([!#-~]*)"')
_TAG_LIST = re.compile(TAG_LIST)
_VERSION = re.compile(r"v([0-9]{1,9})-[0-9a-f]{32}")
_DIGEST_BYTES = 16
NOT_MODIFIED = 304


def answer(request: Request, shown: BaseModel, version: int | None = None) -> Response:
    """Answer a GET with its tag, or with 304 when the caller has just this already.

    Raises:
        Malformed: If-None-Match is not a list of tags.
    """
    body = shown.model_dump_json().encode()
    headers = {"etag": tag_of(body, version)}
    given = request.headers.getlist("if-none-match")
    # Weak comparison (RFC 9110, 13.1.2).
    if given and _matches_any(given, headers["etag"]):
        return Response(None, NOT_MODIFIED, headers)
    return Response(body, 200, headers, media_type="application/json")


def tag_of(body: bytes, version: int | None) -> str:
    digest = hashlib.blake2b(body, digest_size=_DIGEST_BYTES).hexdigest()
    return f'"{digest}"' if version is None else f'"v{version}-{digest}"'


def check_version(request: Request, current: int) -> int | None:
    """Return the version that a change is for: the current one, or None from somebody who says ``*``: whichever it is.

    Raises:
        Unconditional: no If-Match came.
        Malformed: it is not a list of tags.
        Stale: none of its tags is of the current version.  Weak tags never are (RFC 9110, 13.1.1).
    """
    given = request.headers.getlist("if-match")
    if not given:
        raise Unconditional("send the ETag of the device as If-Match")
    tags = _read(given, "If-Match")
    if tags is None:
        return None
    strong = (_VERSION.fullmatch(tag) for weak, tag in tags if not weak)
    if current not in {int(found[1]) for found in strong if found}:
        raise Stale("the device has changed: read it again")
    return current


def check_tag(request: Request, shown: BaseModel) -> None:
    """Refuse a change for another state than ``shown``, for what has no version of its own.

    Raises:
        Unconditional, Malformed, Stale: as ``check_version``.
    """
    given = request.headers.getlist("if-match")
    if not given:
        raise Unconditional("send the ETag that you read as If-Match")
    tags = _read(given, "If-Match")
    current = tag_of(shown.model_dump_json().encode(), None).strip('"')
    if tags is not None and current not in {tag for weak, tag in tags if not weak}:
        raise Stale("it has changed: read it again")


def _matches_any(given: list[str], tag: str) -> bool:
    tags = _read(given, "If-None-Match")
    return tags is None or tag.strip('"') in {text for _, text in tags}


def _read(given: list[str], header: str) -> list[tuple[str, str]] | None:
    """Return (weak mark, tag) pairs; None for ``*``."""
    text = ",".join(given).strip()
    if _TAG_LIST.fullmatch(text) is None:
        raise Malformed(f"{header} must be a list of entity tags in double quotes, or *")
    return None if text == "*" else _TAG.findall(text)
