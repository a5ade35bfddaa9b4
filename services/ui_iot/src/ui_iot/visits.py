"""Where a request came from and with what: what the audit log and a person's list of sessions say about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common.client_address import client_address, user_agent

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from pulse_common.client_address import Network

VisitOf = Callable[["HTTPConnection"], "Visit"]


@dataclass(frozen=True, slots=True)
class Visit:
    address: str | None
    user_agent: str | None


def visit_of(connection: HTTPConnection, trusted: tuple[Network, ...]) -> Visit:
    """Read who came; an address is our proxy's word only, a user agent whatever the client likes to say."""
    return Visit(client_address(connection, trusted), user_agent(connection))
