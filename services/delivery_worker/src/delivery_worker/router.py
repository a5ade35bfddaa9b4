"""From what happened to what is sent: each reading and event becomes one message for each route that wants it.

One replica routes at a time (``turns``), batch by batch and each in its order: a device's messages lie in a lane in the
order in which the platform took them.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from delivery_worker import templates
from delivery_worker.domain import delivery_id_of
from pulse_common import events
from pulse_common.consume import Consumer
from pulse_common.delivery_events import HAPPENINGS, TELEMETRY, Delivery
from pulse_common.messaging import Done, Never

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delivery_worker.domain import Route
    from delivery_worker.known_routes import KnownRoutes
    from delivery_worker.placing import Dropped, Placing
    from pulse_common.messaging import Message, Outcome

    Batch = Sequence[tuple[Message, "Happened | None"]]

LINGER_SECONDS = 0.02
# One batch at a time is under way, over all replicas: what comes again after a crash comes before what is newer.
READINGS = Consumer(
    stream=events.STREAM_TELEMETRY,
    name="delivery",
    subjects=("pulse.telemetry.>",),
    batch=200,
    max_ack_pending=200,
    fetch_seconds=1.0,
    linger_seconds=LINGER_SECONDS,
    only_new=True,
)
HAPPENED = Consumer(
    stream=events.STREAM_EVENTS,
    name="delivery",
    subjects=tuple(f"pulse.events.{kind}" for kind in HAPPENINGS),
    batch=50,
    max_ack_pending=50,
    fetch_seconds=1.0,
    linger_seconds=LINGER_SECONDS,
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
    routes: KnownRoutes
    placing: Placing
    dropped: Dropped

    async def handle(self, messages: list[Message]) -> list[Outcome]:
        """Place what is wanted of a batch.

        Raises:
            Unavailable: the bus or the database is away; the whole batch comes again, in its order.
        """
        batch = [(message, _read_or_none(message)) for message in messages]
        wanted = [
            (route, _delivery(route, happened, message))
            for tenant in {happened.tenant for _, happened in batch if happened}
            for route, happened, message in await self._wanted_of(tenant, batch)
        ]
        # Begun in their order, and one connection's messages are stored in the order in which they were begun.
        placed = await asyncio.gather(*(self.placing.place(delivery) for _, delivery in wanted))
        for (route, _), has_room in zip(wanted, placed, strict=True):
            if not has_room:
                self.dropped.note(route)
        return [Done() if happened else Never("not a message of ours") for _, happened in batch]

    async def _wanted_of(self, tenant: UUID, batch: Batch) -> list[tuple[Route, Happened, Message]]:
        routes = await self.routes.of(tenant)
        if not routes:
            return []
        own = [(message, seen) for message, seen in batch if seen and seen.tenant == tenant]
        devices = list({seen.device for _, seen in own if seen.device})
        groups = await self.routes.groups_of(routes, devices)
        return [
            (route, seen, message)
            for message, seen in own
            for route in routes
            if route.wants(
                seen.event_type,
                seen.device,
                groups.get(seen.device, frozenset()) if seen.device else frozenset(),
                seen.metrics,
            )
        ]


def _read_or_none(message: Message) -> Happened | None:
    try:
        return read(message.subject, message.data)
    except (ValueError, KeyError, TypeError):
        return None


def _delivery(route: Route, happened: Happened, message: Message) -> Delivery:
    return delivery_of(
        route, happened, delivery_id_of(route.route_id, message.subject, message.data)
    )


def delivery_of(route: Route, happened: Happened, delivery_id: str) -> Delivery:
    return Delivery(
        tenant_id=route.tenant_id,
        route_id=route.route_id,
        delivery_id=delivery_id,
        event_type=happened.event_type,
        device_id=happened.device,
        body=templates.render(route.template, shown(happened, route.metrics)),
    )


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
