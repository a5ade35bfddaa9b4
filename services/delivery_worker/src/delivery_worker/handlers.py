"""What ui_iot asks for: routes made, changed, verified, tested and stopped."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery_worker import acts, audit_store, store, templates
from delivery_worker.domain import SECRET_OVERLAP, echoes
from delivery_worker.signing import new_secret
from delivery_worker.targets import TargetRefused, read_target
from pulse_common import delivery_events as calls
from pulse_common import entitlements
from pulse_common.errors import Conflict, Malformed, Stale
from pulse_common.identity import TenantId
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from delivery_worker.attempts import Attempts
    from delivery_worker.calls import Attempt
    from delivery_worker.domain import Route
    from delivery_worker.known_routes import KnownRoutes
    from delivery_worker.lanes import Lanes
    from delivery_worker.signing import Safe
    from delivery_worker.targets import Rules
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, TenantTx


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    db: Database
    safe: Safe
    rules: Rules
    routes: KnownRoutes
    lanes: Lanes
    attempts: Attempts
    clock: Clock

    async def create(self, asked: calls.CreateRouteRequest) -> calls.RouteReply:
        self._check(asked.wanted)
        secret = new_secret()
        sealed = self.safe.seal(secret, asked.tenant_id, asked.route_id)
        async with self._tenant(asked) as tx:
            limits = await entitlements.load(tx)
            limits.require_writable()
            used = await store.count_routes(tx)
            if await store.find_route(tx, asked.route_id) is None:
                limits.require_room("routes", used)
            await store.add_route(tx, asked.route_id, asked.wanted, sealed)
            await acts.record(tx, asked, "route.create", asked.wanted.model_dump(mode="json"))
        self.routes.changed(asked.tenant_id)
        return calls.RouteReply(route_id=asked.route_id, version=1, secret=secret)

    async def change(self, asked: calls.ChangeRouteRequest) -> calls.RouteReply:
        self._check(asked.wanted)
        async with self._tenant(asked) as tx:
            (await entitlements.load(tx)).require_writable()
            await acts.find(tx, asked)
            if not await store.change_route(tx, asked.route_id, asked.wanted, asked.version):
                raise Stale("the route has changed: read it again")
            await acts.record(tx, asked, "route.change", asked.wanted.model_dump(mode="json"))
            route = await acts.find(tx, asked)
            await audit_store.begin(tx, route)
        self.routes.changed(asked.tenant_id)
        return _reply(route)

    async def delete(self, asked: calls.DeleteRouteRequest) -> calls.RouteReply:
        async with self._tenant(asked) as tx:
            route = await acts.find(tx, asked)
            await store.delete_route(tx, asked.route_id)
            await acts.record(tx, asked, "route.delete", {"name": route.name})
        self.routes.changed(asked.tenant_id)
        return _reply(route)

    async def rotate(self, asked: calls.RotateSecretRequest) -> calls.RouteReply:
        secret = new_secret()
        sealed = self.safe.seal(secret, asked.tenant_id, asked.route_id)
        async with self._tenant(asked) as tx:
            await acts.find(tx, asked)
            until = self.clock() + SECRET_OVERLAP
            await store.rotate_secret(tx, asked.route_id, sealed, until)
            await acts.record(tx, asked, "route.change", {"rotated": "signing key"})
            route = await acts.find(tx, asked)
        self.routes.changed(asked.tenant_id)
        return calls.RouteReply(route_id=route.route_id, version=route.version, secret=secret)

    async def verify(self, asked: calls.VerifyRouteRequest) -> calls.AttemptReply:
        """Send a challenge that only the endpoint's owner can read, and expect it back."""
        route = await self._callable(asked)
        challenge = secrets.token_urlsafe(24)
        made = await self._send(route, "webhook.verification", {"challenge": challenge})
        owned = made.delivered and echoes(made.body, challenge)
        if owned:
            async with self._tenant(asked) as tx:
                if await store.set_status(tx, route, "active", ["unverified"]):
                    await audit_store.begin(tx, await acts.find(tx, asked))
                    await acts.record(tx, asked, "route.change", {"status": "active"})
                elif (await acts.find(tx, asked)).status == "unverified":
                    raise Conflict("the address has changed meanwhile: send the challenge again")
            self.routes.changed(asked.tenant_id)
        reply = _attempt(made)
        if made.delivered and not owned:
            unlike = "the endpoint answered, but not with the challenge"
            return reply.model_copy(update={"delivered": False, "error": unlike})
        return reply

    async def test(self, asked: calls.TestRouteRequest) -> calls.AttemptReply:
        route = await self._callable(asked)
        if route.status == "unverified":
            raise Conflict("verify the route first: its endpoint has to answer the challenge")
        made = await self._send(route, "test", {"text": "This is a test from Pulse."})
        async with self._tenant(asked) as tx:
            await acts.record(tx, asked, "route.test", {"delivered": made.delivered})
        return _attempt(made)

    async def pause(self, asked: calls.PauseRouteRequest) -> calls.RouteReply:
        return await self._switch(asked, "paused", ["active"])

    async def resume(self, asked: calls.ResumeRouteRequest) -> calls.RouteReply:
        return await self._switch(asked, "active", ["paused", "disabled"])

    async def backlog(self, asked: calls.BacklogRequest) -> calls.BacklogReply:
        counts = {
            route.route_id: self.lanes.waiting_for(route.route_id)
            for route in await self.routes.of(asked.tenant_id)
        }
        return calls.BacklogReply(waiting={k: count for k, count in counts.items() if count})

    async def _switch(self, asked: calls.RouteAct, status: str, was: list[str]) -> calls.RouteReply:
        async with self._tenant(asked) as tx:
            route = await acts.find(tx, asked)
            if route.status != status:
                if not await store.set_status(tx, route, status, was):
                    raise Conflict(f"a route that is {route.status} cannot become {status}")
                await acts.record(tx, asked, "route.change", {"status": status})
                route = await acts.find(tx, asked)
        self.routes.changed(asked.tenant_id)
        return _reply(route)

    async def _send(self, route: Route, kind: str, data: dict[str, str]) -> Attempt:
        at = self.clock()
        body = {"type": kind, "timestamp": at.isoformat(), "data": data}
        delivery = calls.Delivery(
            tenant_id=route.tenant_id,
            route_id=route.route_id,
            delivery_id=f"msg_{new_id().hex}",
            event_type=kind,
            device_id=None,
            body=json.dumps(body),
        )
        tried = await self.attempts.send(route, delivery, 1)
        async with self.db.tenant_connection(TenantId(route.tenant_id)) as tx:
            await self.attempts.keep(tx, tried)
        return tried.made

    def _check(self, wanted: calls.RouteWanted) -> None:
        unknown = set(wanted.event_types) - set(calls.EVENT_TYPES)
        if unknown or not wanted.event_types:
            raise Malformed(f"event_types are some of {', '.join(calls.EVENT_TYPES)}")
        try:
            read_target(wanted.url, self.rules)
            if wanted.template is not None:
                templates.check(wanted.template)
        except (TargetRefused, templates.TemplateRefused) as refused:
            raise Malformed(str(refused)) from refused

    async def _callable(self, asked: calls.RouteAct) -> Route:
        async with self._tenant(asked) as tx:
            route = await acts.find(tx, asked)
        if not route.tenant_active:
            raise Conflict("nothing is sent for a suspended tenant")
        return route

    def _tenant(
        self, asked: calls.RouteAct | calls.ChangeRouteRequest | calls.CreateRouteRequest
    ) -> AbstractAsyncContextManager[TenantTx]:
        return self.db.tenant_connection(TenantId(asked.tenant_id))


def _reply(route: Route) -> calls.RouteReply:
    return calls.RouteReply(route_id=route.route_id, version=route.version)


def _attempt(made: Attempt) -> calls.AttemptReply:
    return calls.AttemptReply(
        stage=made.stage,
        delivered=made.delivered,
        status=made.status,
        error=made.error,
        latency_ms=made.latency_ms,
        response_body=made.body,
    )
