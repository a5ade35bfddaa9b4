"""Where the request that is being answered came from, so that every audit row says it without being told.

The HTTP door sets it, the bus carries it to whoever is asked next, and ``audit`` writes it down.  What runs by itself
has none.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import structlog

from pulse_common.client_address import user_agent

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import HTTPConnection

_SHORTEST = 200
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Origin:
    address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None


NOWHERE = Origin()
_current: ContextVar[Origin] = ContextVar("origin", default=NOWHERE)


def current() -> Origin:
    return _current.get()


def arrive(
    connection: HTTPConnection, address_of: Callable[[HTTPConnection], str | None] | None
) -> None:
    """Remember who asks; ``address_of`` knows which proxies are ours, and without it no address is believed."""
    address = address_of(connection) if address_of else None
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    _current.set(Origin(address, user_agent(connection), request_id))


def to_header() -> str | None:
    """Write the origin for a call to another service: one line of ASCII, or None when there is none."""
    found = current()
    return None if found == NOWHERE else json.dumps(asdict(found))


def from_header(text: str | None) -> None:
    """Take over the origin of the call that is being answered; what cannot be read is none."""
    _current.set(_parsed(text) if text else NOWHERE)


def _parsed(text: str) -> Origin:
    try:
        given = json.loads(text)
        return Origin(
            _short(given["address"], _SHORTEST),
            _short(given["user_agent"], _LONGEST),
            _short(given["request_id"], _SHORTEST),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return NOWHERE


def _short(value: object, longest: int) -> str | None:
    return value[:longest] if isinstance(value, str) else None
