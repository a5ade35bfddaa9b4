"""What every act on a route needs: the route it is about, and its row in the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery_worker import store
from pulse_common import audit
from pulse_common import delivery_events as calls
from pulse_common.errors import NotFound

if TYPE_CHECKING:
    from delivery_worker.domain import Route
    from pulse_common.audit_actions import Action
    from pulse_common.tenancy import TenantTx

    Asked = calls.RouteAct | calls.ChangeRouteRequest | calls.CreateRouteRequest


async def find(tx: TenantTx, asked: Asked) -> Route:
    """Find the route that is meant.

    Raises:
        NotFound: there is none; another tenant's is not there at all.
    """
    route = await store.find_route(tx, asked.route_id)
    if route is None:
        raise NotFound("no such route")
    return route


async def record(tx: TenantTx, asked: Asked, action: Action, after: dict[str, object]) -> None:
    act = audit.Act(
        actor_kind="user",
        actor_id=asked.actor_id,
        action=action,
        object_kind="route",
        object_id=str(asked.route_id),
        request_id=asked.request_id,
        after=after,
    )
    await audit.record(tx, act)
