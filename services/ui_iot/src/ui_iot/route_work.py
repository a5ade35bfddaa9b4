"""What the API and the pages do with routes: reads here, every change through delivery_worker, which owns them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from pulse_common import delivery_events as calls
from pulse_common.errors import Malformed, NotFound, Unavailable
from ui_iot import people, route_store
from ui_iot import route_models as models
from ui_iot.api import active_tenant
from ui_iot.handlers import request_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from pulse_common.bus import Bus
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database, Row

A = TypeVar("A", bound=calls.RouteAct)
PAGE_SIZE = 100
CALL_SECONDS = 10.0
LONGEST_ATTEMPT_SECONDS = 40.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteWork:
    db: Database
    bus: Bus

    async def list(self, principal: Principal) -> Sequence[Row]:
        async with active_tenant(self.db, principal) as tx:
            return await route_store.list_routes(tx)

    async def find(self, principal: Principal, route_id: UUID) -> Row:
        """Find a route of the caller's own tenant.

        Raises:
            NotFound: there is none; another tenant's is not there at all.
        """
        async with active_tenant(self.db, principal) as tx:
            rows = await route_store.list_routes(tx, route_id)
        if not rows:
            raise NotFound("no such route")
        return rows[0]

    async def create(
        self, principal: Principal, route_id: UUID, body: models.RouteBody
    ) -> tuple[Row, str]:
        """Make a route and return it with its secret, this once."""
        asked = calls.CreateRouteRequest(
            tenant_id=people.tenant_of(principal),
            actor_id=principal.subject,
            route_id=route_id,
            wanted=calls.RouteWanted.model_validate(body.model_dump()),
            request_id=request_id(),
        )
        made = await self.bus.call(asked, calls.RouteReply, seconds=CALL_SECONDS)
        return await self.find(principal, route_id), made.secret or ""

    async def change(
        self, principal: Principal, route_id: UUID, body: models.RouteBody, version: int | None
    ) -> None:
        asked = calls.ChangeRouteRequest(
            tenant_id=people.tenant_of(principal),
            actor_id=principal.subject,
            route_id=route_id,
            wanted=calls.RouteWanted.model_validate(body.model_dump()),
            version=version,
            request_id=request_id(),
        )
        await self.bus.call(asked, calls.RouteReply, seconds=CALL_SECONDS)

    async def ask(
        self, kind: type[calls.RouteAct], principal: Principal, route_id: UUID
    ) -> calls.RouteReply:
        asked = await self._act(kind, principal, route_id)
        return await self.bus.call(asked, calls.RouteReply, seconds=CALL_SECONDS)

    async def attempt(
        self, kind: type[calls.RouteAct], principal: Principal, route_id: UUID
    ) -> models.AttemptAnswer:
        asked = await self._act(kind, principal, route_id)
        made = await self.bus.call(asked, calls.AttemptReply, seconds=LONGEST_ATTEMPT_SECONDS)
        return models.AttemptAnswer(**made.model_dump())

    async def replay(self, principal: Principal, route_id: UUID, body: models.ReplayBody) -> int:
        base = await self._act(calls.ReplayDeadRequest, principal, route_id)
        asked = base.model_copy(update=body.model_dump())
        done = await self.bus.call(asked, calls.ReplayedReply, seconds=LONGEST_ATTEMPT_SECONDS)
        return done.replayed

    async def deliveries(
        self, principal: Principal, query: models.DeliveriesQuery
    ) -> models.DeliveriesAnswer:
        async with active_tenant(self.db, principal) as tx:
            rows = await route_store.list_deliveries(tx, limit=PAGE_SIZE + 1, **query.model_dump())
        shown = [models.DeliveryAnswer(**row) for row in rows[:PAGE_SIZE]]
        return models.DeliveriesAnswer(
            deliveries=shown, next_after=shown[-1].id if len(rows) > PAGE_SIZE else None
        )

    async def dead_letters(
        self, principal: Principal, route_id: UUID, query: models.RouteDeadLettersQuery
    ) -> models.RouteDeadLettersAnswer:
        route = await self.find(principal, route_id)
        filters = query.model_dump(exclude={"after"})
        async with active_tenant(self.db, principal) as tx:
            rows = await route_store.list_dead(
                tx, route["id"], limit=PAGE_SIZE + 1, after=_read_cursor(query.after), **filters
            )
        shown = [models.RouteDeadLetterAnswer(**row) for row in rows[:PAGE_SIZE]]
        more = len(rows) > PAGE_SIZE
        return models.RouteDeadLettersAnswer(
            dead_letters=shown, next_after=_cursor(shown[-1]) if more else None
        )

    async def dead_letter(
        self, principal: Principal, route_id: UUID, delivery_id: str
    ) -> models.RouteDeadLetterShownAnswer:
        route = await self.find(principal, route_id)
        async with active_tenant(self.db, principal) as tx:
            row = await route_store.find_dead(tx, route["id"], delivery_id)
        if row is None:
            raise NotFound("no such dead letter")
        return models.RouteDeadLetterShownAnswer(**row)

    async def backlog(self, principal: Principal) -> Mapping[UUID, int] | None:
        """Say how many messages wait for each route; None while delivery_worker is away."""
        asked = calls.BacklogRequest(tenant_id=people.tenant_of(principal))
        try:
            return (await self.bus.call(asked, calls.BacklogReply)).waiting
        except Unavailable:
            return None

    async def _act(self, kind: type[A], principal: Principal, route_id: UUID) -> A:
        row = await self.find(principal, route_id)
        return kind(
            tenant_id=people.tenant_of(principal),
            actor_id=principal.subject,
            route_id=row["id"],
            request_id=request_id(),
        )


def _cursor(letter: models.RouteDeadLetterAnswer) -> str:
    """Name a place in the list by what stands there, which may be gone when it is asked for."""
    return f"{(letter.died_at - _EPOCH) // timedelta(microseconds=1)}_{letter.delivery_id}"


def _read_cursor(text: str | None) -> tuple[datetime, str] | None:
    if text is None:
        return None
    micros, _, delivery_id = text.partition("_")
    try:
        return _EPOCH + timedelta(microseconds=int(micros)), delivery_id
    except OverflowError:
        raise Malformed("after cannot be read") from None
