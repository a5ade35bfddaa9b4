"""The JSON API of a tenant's own billing: plan, usage, invoices, sessions of Checkout and of the Customer Portal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from pulse_common.errors import Unavailable
from pulse_common.http import read_model
from ui_iot import billing_models as models
from ui_iot.api import active_tenant
from ui_iot.billing_links import share
from ui_iot.operations import Operation
from ui_iot.people import ADMINISTRATORS

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.requests import Request

    from pulse_common import events
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database
    from ui_iot.billing_links import TenantBilling

BILLING = "/api/v2/billing"


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantBillingApi:
    db: Database
    billing: TenantBilling

    async def show(self, _: Request, principal: Principal) -> Response:
        return _json(_shown(await self.billing.overview(principal, with_invoices=False)))

    async def invoices(self, _: Request, principal: Principal) -> Response:
        found = await self.billing.overview(principal, with_invoices=True)
        if found.invoices is None:
            raise Unavailable("Stripe does not answer just now")
        invoices = [
            models.InvoiceAnswer(
                id=invoice.invoice_id, **invoice.model_dump(exclude={"invoice_id"})
            )
            for invoice in found.invoices
        ]
        return _json(models.InvoicesAnswer(invoices=invoices))

    async def checkout(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, models.CheckoutBody)
        await self._require_active(principal)
        return _json(models.LinkAnswer(url=await self.billing.link(principal, body.plan)), 201)

    async def portal(self, _: Request, principal: Principal) -> Response:
        await self._require_active(principal)
        return _json(models.LinkAnswer(url=await self.billing.link(principal, None)), 201)

    async def _require_active(self, principal: Principal) -> None:
        async with active_tenant(self.db, principal):
            pass


def billing_operations(api: TenantBillingApi) -> list[Operation]:
    return [
        Operation(
            name="getBilling",
            summary="Plan, usage against limits, and why the limits are what they are",
            method="GET",
            path=BILLING,
            roles=ADMINISTRATORS,
            handler=api.show,
            answers={200: models.BillingAnswer},
        ),
        Operation(
            name="listInvoices",
            summary="The newest invoices, as Stripe has them",
            method="GET",
            path=f"{BILLING}/invoices",
            roles=ADMINISTRATORS,
            handler=api.invoices,
            answers={200: models.InvoicesAnswer},
        ),
        Operation(
            name="createCheckout",
            summary="Begin to buy a plan: a session of Stripe's Checkout",
            method="POST",
            path=f"{BILLING}/checkout",
            roles=ADMINISTRATORS,
            handler=api.checkout,
            body=models.CheckoutBody,
            answers={201: models.LinkAnswer},
            refusals=frozenset({409}),
        ),
        Operation(
            name="createPortal",
            summary="Manage payment and plan: a session of Stripe's Customer Portal",
            method="POST",
            path=f"{BILLING}/portal",
            roles=ADMINISTRATORS,
            handler=api.portal,
            answers={201: models.LinkAnswer},
            refusals=frozenset({409}),
        ),
    ]


def _shown(found: events.BillingReply) -> models.BillingAnswer:
    return models.BillingAnswer(
        mode=found.mode,
        plan=found.plan,
        plan_name=found.plan_name,
        access=found.access,
        subscription_status=found.status,
        unpaid_since=found.unpaid_since,
        current_period_end=found.current_period_end,
        cancels_at_period_end=found.cancels_at_period_end,
        usage=[
            models.UsedAnswer(name=use.name, used=use.used, limit=use.limit, percent=share(use))
            for use in found.usage
        ],
        features=found.features,
        offers=found.offers,
        has_customer=found.has_customer,
        applied=models.AppliedAnswer(
            version=found.version,
            cause=found.cause,
            stripe_event_id=found.stripe_event_id,
            applied_at=found.applied_at,
        ),
    )


def _json(shown: BaseModel, status: int = 200) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(shown.model_dump_json(), status, headers, media_type="application/json")
