"""Every rate limit of this service; ``routes.py`` puts them at their doors.

While the store is away all of them let through, and are counted as "uncounted": they spare work and keep one tenant
from slowing the others, but guard no secret.  Who may guess a password, and how often, is the identity provider's to
decide; a session's cookie and a token are too long to guess.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pulse_common.http import Endpoint, Guarded
from pulse_common.ratelimit import Limit

if TYPE_CHECKING:
    from collections.abc import Iterable

API = "/api/v2"
INVITING = frozenset(
    ("POST", f"{root}/team{rest}") for root in ("", API) for rest in ("", "/{member_id}/invitation")
)
"""What sends a mail."""
LOG_OUT = "/auth/logout"
CUTTING_OFF = ("/revoke", "/end", "/end-others", "/remove")
REMOVING = ("DELETE", f"{API}/team/{{member_id}}")
"""What ends a device's or a person's access: a stolen program that uses up its tenant's limit must not prevent it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often who may knock.

    An address: begin, and apart from that end, a log-in; open a live view.  A person or program: use the API; load and
    change pages.  A tenant: all of that by all of its people and programs together; have mails sent to strangers.
    """

    auth_per_minute: int = 30
    live_per_minute: int = 120
    api_per_minute: int = 600
    pages_per_minute: int = 300
    tenant_per_minute: int = 3000
    invitations_per_hour: int = 60


SHIPPED = Rates()


def of_log_in(name: Literal["login", "callback"], rates: Rates) -> Limit:
    return _limit(name, rates.auth_per_minute, "address")


def of_live_views(rates: Rates) -> Limit:
    """Count connections: how many stay open is ``Seats``' to bound."""
    return _limit("live", rates.live_per_minute, "address")


def limited(endpoints: Iterable[Endpoint], rates: Rates) -> list[Endpoint]:
    """Put the limits per person and per tenant at every guarded door."""
    return [
        dataclasses.replace(endpoint, limits=(*endpoint.limits, *_of(endpoint, rates)))
        if isinstance(endpoint, Guarded)
        else endpoint
        for endpoint in endpoints
    ]


def _of(endpoint: Guarded, rates: Rates) -> list[Limit]:
    if endpoint.path.startswith(f"{API}/"):
        of_person = _limit("api", rates.api_per_minute, "user")
    else:
        of_person = _limit("pages", rates.pages_per_minute, "user")
    if endpoint.path == LOG_OUT:
        return []
    named = (endpoint.method, endpoint.path)
    if named == REMOVING or (endpoint.method == "POST" and endpoint.path.endswith(CUTTING_OFF)):
        return [of_person]
    # The person's first: one who is over theirs uses up nothing of their colleagues'.
    found = [of_person, _limit("tenant", rates.tenant_per_minute, "tenant")]
    if named in INVITING:
        found.append(_limit("invitations", rates.invitations_per_hour, "tenant", seconds=3600))
    return found


def _limit(
    name: str, amount: int, per: Literal["address", "tenant", "user"], *, seconds: int = 60
) -> Limit:
    return Limit(name=name, amount=amount, seconds=seconds, per=per, when_store_is_down="allow")
