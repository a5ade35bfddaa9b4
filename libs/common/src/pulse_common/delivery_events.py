"""What crosses NATS about routes and deliveries: ui_iot asks, delivery_worker answers and tells.

``tenant_id`` and ``actor_id`` were verified by ui_iot, the one NATS user that may publish on these subjects.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

from pydantic import Field

from pulse_common.events import Call, Event, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

TELEMETRY: Final = "telemetry"
AUDIT: Final = "audit.recorded"
CATALOGUE: Final[Mapping[str, str]] = {
    TELEMETRY: "a reading of a device, as it was accepted",
    "alert.raised": "an alert rule found something",
    "alert.cleared": "an alert is over",
    AUDIT: "a row of your audit log: every change, every view by an operator, every refusal",
    "billing.notice": "a bill is unpaid, or a limit of your plan is nearly used up",
    "cert.expiring": "a device's newest certificate has 30, 14, 7 or 1 days left",
    "cert.released": "a certificate that was held is good again",
    "cert.revoked": "a certificate was revoked, or held",
    "cert.superseded": "a certificate was retired: its device uses the one that renewed it",
    "delivery.route_troubled": "a route has failed for a day, was disabled, or has no room for more",
    "device.created": "a device was added",
    "device.disabled": "a device was disabled",
    "device.enrolled": "a device got a certificate by its enrolment token",
    "device.groups_changed": "a group was made, renamed or deleted, or devices joined or left it",
    "device.profile_changed": "what holds for devices by their profile has changed",
    "device.renamed": "a device has another name",
    "device.session_cut": "the broker confirmed that nothing of a revoked device is left",
    "device.token_minted": "a device token was made",
    "device.token_revoked": "a device token was revoked",
    "device.transferred": "another tenant took over a device of yours",
    "operator.break_glass": "two operators opened your data without your approval",
}
"""What a route may ask for and what it is: readings, the tenant's audit log, and ``pulse.events.{type}``."""
EVENT_TYPES: Final = tuple(CATALOGUE)
HAPPENINGS: Final = tuple(kind for kind in CATALOGUE if kind not in {TELEMETRY, AUDIT})
"""Those that are events."""

RouteStatus = Literal["unverified", "active", "paused", "disabled"]


class Delivery(Wire):
    """One body for one route, on ``pulse.delivery.{tenant}.{route}``; the id is the ``webhook-id`` of every attempt."""

    tenant_id: UUID
    route_id: UUID
    delivery_id: str
    event_type: str
    device_id: UUID | None
    body: str


def delivery_subject(tenant_id: UUID, route_id: UUID) -> str:
    return f"pulse.delivery.{tenant_id}.{route_id}"


class RouteTroubled(Event):
    """A route has failed for a day, was disabled for it or by 410 Gone, or had no room: its tenant should look."""

    subject = "pulse.events.delivery.route_troubled"
    route_id: UUID
    name: str
    kind: Literal["failing", "disabled", "gone", "full"]
    since: datetime


class RouteWanted(Wire):
    """What a tenant decides about a route."""

    name: str
    url: str
    event_types: list[str]
    device_ids: list[UUID] = Field(default_factory=list)
    group_ids: list[UUID] = Field(default_factory=list)
    metrics: list[str] = Field(default_factory=list)
    template: str | None = None
    ordered: bool = False
    timeout_seconds: int = 10
    concurrency: int = 4


class CreateRouteRequest(Call):
    """Make a route, unverified; it may be repeated with its ``route_id``, and then gets another secret."""

    rpc = "pulse.rpc.delivery_worker.create_route"
    tenant_id: UUID
    actor_id: str
    route_id: UUID
    wanted: RouteWanted
    request_id: str | None = None


class ChangeRouteRequest(Call):
    """Replace what was decided; another URL must be verified anew.  ``version`` None overwrites any."""

    rpc = "pulse.rpc.delivery_worker.change_route"
    tenant_id: UUID
    actor_id: str
    route_id: UUID
    wanted: RouteWanted
    version: int | None
    request_id: str | None = None


class RouteAct(Call):
    """Something done to one route."""

    tenant_id: UUID
    actor_id: str
    route_id: UUID
    request_id: str | None = None


class DeleteRouteRequest(RouteAct):
    rpc = "pulse.rpc.delivery_worker.delete_route"


class RotateSecretRequest(RouteAct):
    """Make another secret; the one before signs too for a day."""

    rpc = "pulse.rpc.delivery_worker.rotate_secret"


class VerifyRouteRequest(RouteAct):
    """Send the ownership challenge; a route whose endpoint echoes it becomes active."""

    rpc = "pulse.rpc.delivery_worker.verify_route"


class TestRouteRequest(RouteAct):
    """Send one message of the type ``test``."""

    rpc = "pulse.rpc.delivery_worker.test_route"


class PauseRouteRequest(RouteAct):
    """Stop delivering; messages wait."""

    rpc = "pulse.rpc.delivery_worker.pause_route"


class ResumeRouteRequest(RouteAct):
    """Deliver again, after a pause or after the route was disabled."""

    rpc = "pulse.rpc.delivery_worker.resume_route"


class ReplayDeadRequest(RouteAct):
    """Deliver one dead letter anew, or those that died within a time; at most 1,000 a call."""

    rpc = "pulse.rpc.delivery_worker.replay"
    delivery_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class BacklogRequest(Call):
    """Say how many messages wait for each of a tenant's routes."""

    rpc = "pulse.rpc.delivery_worker.backlog"
    tenant_id: UUID


class BacklogReply(Wire):
    """Routes that are not named have nothing waiting."""

    waiting: dict[UUID, int]


class RouteReply(Wire):
    """``secret`` is shown this once: after a creation and a rotation."""

    route_id: UUID
    version: int
    secret: str | None = None


class AttemptReply(Wire):
    stage: Literal["before", "during", "after"]
    delivered: bool
    status: int | None
    error: str | None
    latency_ms: int
    response_body: str


class ReplayedReply(Wire):
    replayed: int
