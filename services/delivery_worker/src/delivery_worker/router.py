"""From what happened to what is sent: each reading and event becomes one message for each route that wants it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog

from delivery_worker import templates
from delivery_worker.domain import delivery_id_of
from pulse_common import events
from pulse_common.consume import Consumer
from pulse_common.delivery_events import EVENT_TYPES, TELEMETRY, Delivery, delivery_subject
from pulse_common.messaging import Done, Never

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delivery_worker.domain import Route
    from delivery_worker.known_routes import KnownRoutes
    from delivery_worker.lanes import Lanes
    from pulse_common.bus import Bus
    from pulse_common.messaging import Message, Outcome

log = structlog.get_logger(__name__)

READINGS = Consumer(
    stream=events.STREAM_TELEMETRY,
    name="delivery",
    subjects=("pulse.telemetry.>",),
    batch=200,
    fetch_seconds=1.0,
    only_new=True,
)
HAPPENINGS = Consumer(
    stream=events.STREAM_EVENTS,
    name="delivery",
    subjects=tuple(f"pulse.events.{kind}" for kind in EVENT_TYPES if kind != TELEMETRY),
    batch=50,
    fetch_seconds=1.0,
    only_new=True,
)


@dataclass(frozen=True, slots=True)
class Happened:
    """A message as routes see it."""

    tenant: UUID
    event_type: str
    at: str
    device: UUID | None
    data: dict[str, Any]

    @property
    def metrics(self) -> frozenset[str]:
        found = self.data.get("metrics")
        return frozenset(found) if isinstance(found, dict) else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    bus: Bus
    routes: KnownRoutes
    lanes: Lanes

    async def handle(self, messages: list[Message]) -> list[Outcome]:
        return list(await asyncio.gather(*(self._one(message) for message in messages)))

    async def _one(self, message: Message) -> Outcome:
        try:
            happened = read(message.subject, message.data)
        except (ValueError, KeyError, TypeError):
            return Never("not a message of ours")
        wanted = [
            route
            for route in await self.routes.of(happened.tenant)
            if route.wants(happened.event_type, happened.device, happened.metrics)
        ]
        await asyncio.gather(*(self._send(route, happened, message) for route in wanted))
        return Done()

    async def _send(self, route: Route, happened: Happened, message: Message) -> None:
        delivery = Delivery(
            tenant_id=route.tenant_id,
            route_id=route.route_id,
            delivery_id=delivery_id_of(route.route_id, message.subject, message.data),
            event_type=happened.event_type,
            device_id=happened.device,
            body=templates.render(route.template, shown(happened, route.metrics)),
        )
        await self.bus.publish_stored(
            delivery_subject(route.tenant_id, route.route_id),
            delivery.to_bytes(),
            message_id=delivery.delivery_id,
        )
        self.lanes.open(route.tenant_id, route.route_id)


def read(subject: str, data: bytes) -> Happened:
    """Read a reading or an event by its subject; raises ValueError, KeyError or TypeError for anything else."""
    found: dict[str, Any] = json.loads(data)
    is_reading = subject.startswith("pulse.telemetry.")
    device = found.get("device_id")
    tenant = UUID(found.pop("tenant_id"))
    return Happened(
        tenant=tenant,
        event_type=TELEMETRY if is_reading else subject.removeprefix("pulse.events."),
        at=found["ts"] if is_reading else found.pop("at"),
        device=UUID(device) if device else None,
        data=found,
    )


def shown(happened: Happened, metrics: Sequence[str] | frozenset[str]) -> dict[str, object]:
    """Return the message as it is sent without a template: Standard Webhooks' type, timestamp and data."""
    data = dict(happened.data)
    if metrics and isinstance(data.get("metrics"), dict):
        data["metrics"] = {k: v for k, v in data["metrics"].items() if k in metrics}
    return {"type": happened.event_type, "timestamp": happened.at, "data": data}
