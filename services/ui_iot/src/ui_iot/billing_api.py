"""What operators ask of billing, under /api/v2/operator/billing: history, replay, another limit, reconciliation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from uuid import UUID  # noqa: TC003 -- pydantic reads it

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from pulse_common import events
from pulse_common.http import read_model
from pulse_common.identity import OPERATOR_ROLES, Role, TenantId
from pulse_common.ids import parse_id
from ui_iot.operations import Operation

if TYPE_CHECKING:
    from starlette.requests import Request

    from pulse_common.bus import Bus
    from pulse_common.identity import Principal
    from ui_iot.operator_who import Reasons
    from ui_iot.operators import Operators

ROOT = "/api/v2/operator/billing"
READERS: frozenset[str] = frozenset(OPERATOR_ROLES)
WRITERS: frozenset[str] = frozenset({Role.OPERATOR_ADMIN})
LOOK = "read a tenant's bills"
SECONDS = 20.0
RECONCILE_SECONDS = 55.0
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class ReplayBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: Reason


class OverrideBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit_name: str
    amount: Annotated[int, Field(ge=0, le=2**53)] | None
    expires_at: AwareDatetime | None = None
    reason: Reason


class HistoryAnswer(events.BillingHistoryReply):
    """Ids, states and dates; Stripe has the rest."""


@dataclass(frozen=True, slots=True)
class BillingApi:
    bus: Bus
    operators: Operators
    reasons: Reasons

    async def history(self, request: Request, principal: Principal) -> Response:
        who, tenant = self.reasons.of_program(request, principal), _tenant(request)
        await self.operators.note(who, LOOK, TenantId(tenant))
        asked = events.BillingHistoryRequest(tenant_id=tenant, actor_id=who.id)
        return _json(await self.bus.call(asked, HistoryAnswer, seconds=SECONDS))

    async def replay(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, ReplayBody)
        asked = events.ReplayRequest(
            stripe_event_id=request.path_params["event_id"],
            actor_id=principal.subject,
            reason=body.reason,
        )
        return _json(await self.bus.call(asked, events.ReplayReply, seconds=SECONDS))

    async def override(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, OverrideBody)
        asked = events.OverrideRequest(
            tenant_id=_tenant(request),
            limit_name=body.limit_name,
            amount=body.amount,
            expires_at=body.expires_at,
            actor_id=principal.subject,
            reason=body.reason,
        )
        return _json(await self.bus.call(asked, events.OverrideReply, seconds=SECONDS))

    async def reconcile(self, _: Request, principal: Principal) -> Response:
        asked = events.ReconcileRequest(actor_id=principal.subject)
        return _json(await self.bus.call(asked, events.ReconcileReply, seconds=RECONCILE_SECONDS))


def operations(api: BillingApi) -> list[Operation]:
    return [
        Operation(
            name="billingHistory",
            summary="A tenant's subscriptions, Stripe events, and every limit with its cause",
            method="GET",
            path=f"{ROOT}/tenants/{{tenant_id}}",
            roles=READERS,
            handler=api.history,
            answers={200: HistoryAnswer},
        ),
        Operation(
            name="replayStripeEvent",
            summary="Handle one Stripe event again, by what Stripe has now",
            method="POST",
            path=f"{ROOT}/stripe-events/{{event_id}}/replay",
            roles=WRITERS,
            handler=api.replay,
            body=ReplayBody,
            answers={200: events.ReplayReply},
        ),
        Operation(
            name="overrideLimit",
            summary="Grant a tenant another limit than its plan's, for a time",
            method="POST",
            path=f"{ROOT}/tenants/{{tenant_id}}/overrides",
            roles=WRITERS,
            handler=api.override,
            body=OverrideBody,
            answers={200: events.OverrideReply},
        ),
        Operation(
            name="reconcileBilling",
            summary="Compare Stripe, the database and the limits now, and repair what differs",
            method="POST",
            path=f"{ROOT}/reconcile",
            roles=WRITERS,
            handler=api.reconcile,
            answers={200: events.ReconcileReply},
            refusals=frozenset({409}),
        ),
    ]


def _tenant(request: Request) -> UUID:
    return parse_id(request.path_params["tenant_id"], "tenant_id")


def _json(answer: BaseModel) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(answer.model_dump_json(), 200, headers, media_type="application/json")
