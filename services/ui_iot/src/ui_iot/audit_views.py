"""Records what people look at: each answered read of a page or of the API, without waiting for the database."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pulse_common.audit import Act
from pulse_common.errors import AppError
from pulse_common.http import Guarded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.audit import Outcome
    from pulse_common.audit_observe import Observer
    from pulse_common.http import Endpoint
    from pulse_common.identity import Principal
    from ui_iot.visits import VisitOf

    Handler = Callable[[Request, Principal], Awaitable[Response]]


def observed(
    endpoints: Sequence[Endpoint], observer: Observer, visit_of: VisitOf
) -> list[Endpoint]:
    """Wrap the endpoints that read, so that each read of somebody who has a tenant is in its audit log.

    Changes record themselves in their own transactions; what operators read is recorded with the reading.
    """
    return [
        dataclasses.replace(endpoint, handler=_watched(endpoint, observer, visit_of))
        if isinstance(endpoint, Guarded) and endpoint.method == "GET"
        else endpoint
        for endpoint in endpoints
    ]


def _watched(endpoint: Guarded, observer: Observer, visit_of: VisitOf) -> Handler:
    async def handle(request: Request, principal: Principal) -> Response:
        outcome: Outcome = "success"
        reason: str | None = None
        try:
            return await endpoint.handler(request, principal)
        except AppError as error:
            outcome, reason = "denied" if error.status in {401, 403} else "failure", error.code
            raise
        finally:
            if principal.tenant is not None:
                act = _act(endpoint, request, principal, visit_of, (outcome, reason))
                observer.observe(act, principal.tenant)

    return handle


def _act(
    endpoint: Guarded,
    request: Request,
    principal: Principal,
    visit_of: VisitOf,
    ended: tuple[Outcome, str | None],
) -> Act:
    visit = visit_of(request)
    api = endpoint.path.startswith("/api/")
    return Act(
        actor_kind="user",
        actor_id=principal.subject,
        action="api.read" if api else "page.view",
        object_kind="endpoint" if api else "page",
        # The path and no query: what was searched for may be a secret that somebody pasted.
        object_id=request.url.path,
        outcome=ended[0],
        reason=ended[1],
        address=visit.address,
        user_agent=visit.user_agent,
    )
