"""What a tenant may still do while an unpaid bill leaves it read-only: everything else that changes is refused here.

The doors of this service are the only way in for people and their programs.  Refusing is the rule, so that a route that
nobody thought of is refused; what goes on is listed with its reason.  The services behind refuse what grows (devices,
routes, tokens) once more, in the transaction that would make it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from pulse_common import entitlements
from pulse_common.http import Endpoint, Guarded
from ui_iot import people

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database

    Handler = Callable[[Request, Principal], Awaitable[Response]]

_API = "/api/v2"
_SHUTS_OUT = "a stolen device, key or session is shut out whoever has paid"
_TAKES_AWAY = "it only takes away"
_LEAVES = "leaving is never refused"
_PAYS = "this is how one pays"
_SAFETY = "somebody may be in danger, or a secret known"
_OWN_DATA = "who may look at a tenant's data is no question of money"
_READS = "it changes nothing"
#: The work itself refuses what adds and does what takes away: the form says which it is.
DECIDED_INSIDE = "refused inside when it adds, done when it takes away"


def _at(reason: str, *doors: str) -> dict[str, str]:
    return dict.fromkeys(doors, reason)


STILL: Final[Mapping[str, str]] = {
    **_at(_LEAVES, "POST /auth/logout"),
    **_at(
        _SHUTS_OUT,
        "POST /sessions/end-others",
        "POST /sessions/{session_id}/end",
        f"POST {_API}/sessions/end-others",
        f"POST {_API}/sessions/{{session_id}}/end",
        "POST /devices/{device_id}/revoke",
        f"POST {_API}/devices/{{device_id}}/revoke",
        "POST /devices/{device_id}/tokens/{token_id}/revoke",
        "POST /devices/{device_id}/rescue/close",
        f"DELETE {_API}/devices/{{device_id}}/rescue",
        f"DELETE {_API}/claim-certificates/{{claim_certificate_id}}",
        "POST /team/{member_id}/remove",
        f"DELETE {_API}/team/{{member_id}}",
    ),
    **_at(
        _TAKES_AWAY,
        *(f"POST {root}/transfers/{{transfer_id}}/withdraw" for root in ("", _API)),
        *(f"POST {root}/transfers/{{transfer_id}}/decline" for root in ("", _API)),
        *(f"POST {root}/routes/{{route_id}}/pause" for root in ("", _API)),
        "POST /routes/{route_id}/delete",
        f"DELETE {_API}/routes/{{route_id}}",
        "POST /groups/{group_id}/delete",
        f"DELETE {_API}/groups/{{group_id}}",
        "POST /alerts/rules/{rule_id}/delete",
        f"DELETE {_API}/alert-rules/{{rule_id}}",
        f"DELETE {_API}/device-profiles/{{profile_id}}",
        f"DELETE {_API}/enrolment-profiles/{{enrolment_profile_id}}",
        f"POST {_API}/imports/{{import_id}}/cancel",
    ),
    **_at(
        DECIDED_INSIDE,
        "POST /devices/{device_id}/tokens/permit",
        f"POST {_API}/enrolment-profiles/{{enrolment_profile_id}}/hardware/decisions",
        "POST /team/{member_id}/role",
        f"PATCH {_API}/team/{{member_id}}",
    ),
    **_at(
        _SAFETY,
        *(f"POST {root}/alerts/{{alert_id}}/acknowledge" for root in ("", _API)),
        *(f"POST {root}/routes/{{route_id}}/secret" for root in ("", _API)),
        "POST /expiring/mails",
    ),
    **_at(
        _OWN_DATA,
        "POST /access/policy",
        f"PUT {_API}/access/policy",
        "POST /access/grants/{grant_id}",
        f"POST {_API}/access/grants/{{grant_id}}",
    ),
    **_at(
        _PAYS,
        *(f"POST {root}/billing/checkout" for root in ("", _API)),
        *(f"POST {root}/billing/portal" for root in ("", _API)),
    ),
    **_at(_READS, f"POST {_API}/devices/{{device_id}}/dry-run"),
}


def refusing(endpoints: Iterable[Endpoint], db: Database) -> list[Endpoint]:
    """Put the question whether the tenant may change anything before each door that changes something of it."""
    return [
        dataclasses.replace(endpoint, handler=_if_writable(endpoint.handler, db))
        if isinstance(endpoint, Guarded) and is_refused(endpoint)
        else endpoint
        for endpoint in endpoints
    ]


def is_refused(endpoint: Guarded) -> bool:
    return _changes_a_tenants(endpoint) and _name(endpoint) not in STILL


def may_refuse(endpoint: Guarded) -> bool:
    """Whether an unpaid bill may be the answer, of the door or of the work behind it."""
    return is_refused(endpoint) or STILL.get(_name(endpoint)) == DECIDED_INSIDE


def _changes_a_tenants(endpoint: Guarded) -> bool:
    return endpoint.method != "GET" and not people.EVERYBODY.isdisjoint(endpoint.roles)


def _name(endpoint: Guarded) -> str:
    return f"{endpoint.method} {endpoint.path}"


def _if_writable(handler: Handler, db: Database) -> Handler:
    async def handle(request: Request, principal: Principal) -> Response:
        async with db.tenant_connection(people.tenant_of(principal)) as tx:
            (await entitlements.load(tx)).require_writable()
        return await handler(request, principal)

    return handle
