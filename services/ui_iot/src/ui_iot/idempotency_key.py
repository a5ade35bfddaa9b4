"""The ``Idempotency-Key`` header: a structured-field string, or the same without its quotes, as many clients send it.

draft-ietf-httpapi-idempotency-key-header, section 2.1; RFC 8941, section 3.3.3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pulse_common.errors import Malformed

if TYPE_CHECKING:
    from starlette.requests import Request

HEADER = "idempotency-key"
KEY_PATTERN = r'("[!#-\[\]-~]{1,100}"|[A-Za-z0-9._:-]{1,100})'
_KEY = re.compile(KEY_PATTERN)


def read_key(request: Request) -> str | None:
    """Return the key without its quotes, None when there is none.

    Raises:
        Malformed: it is empty, too long, given twice, or not printable ASCII.
    """
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    if len(given) > 1 or _KEY.fullmatch(given[0]) is None:
        raise Malformed("Idempotency-Key must be one string of 1 to 100 characters")
    return given[0].strip('"')
