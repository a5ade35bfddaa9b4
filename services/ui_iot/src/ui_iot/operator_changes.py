"""Use cases of operators who change: tenants come, pause, resume and go; access is asked for and the glass is broken.

Each is one transaction of pulse_operator_write: the change, its audit rows and its event.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pulse_common import audit, events, outbox
from pulse_common.errors import Conflict, Malformed, NotFound
from pulse_common.identity import TenantId
from pulse_common.ids import new_id
from pulse_common.notices import NoticeRaised
from ui_iot import operator_change_store as store
from ui_iot.access_models import LONGEST_BREAK_GLASS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from uuid import UUID

    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, OperatorTx
    from ui_iot.access_models import AskBody
    from ui_iot.operators import Operator

EXPORT_IS_GOOD_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorChanges:
    db: Database
    clock: Clock

    async def create(self, who: Operator, name: str) -> UUID:
        tenant = TenantId(new_id())
        async with self._change(who, tenant, "create a tenant") as tx:
            await store.create_tenant(tx, name)
            await _record(tx, who, "tenant.create")
        return tenant

    async def suspend(self, who: Operator, tenant: UUID) -> None:
        """Keep the tenant's people, programs and devices out; nothing is deleted."""
        async with self._change(who, TenantId(tenant), "suspend a tenant") as tx:
            await self._require(tx, "active")
            await store.set_status(tx, "suspended", who.reason, self.clock())
            await _record(tx, who, "tenant.suspend")
            event = events.TenantSuspended(tenant_id=tx.tenant, at=self.clock())
            await outbox.emit(tx, event)

    async def resume(self, who: Operator, tenant: UUID) -> None:
        async with self._change(who, TenantId(tenant), "resume a tenant") as tx:
            await self._require(tx, "suspended")
            await self._activate(tx, who, "tenant.resume")

    async def restore(self, who: Operator, tenant: UUID) -> None:
        """Call a deletion off, while its grace lasts."""
        async with self._change(who, TenantId(tenant), "call a deletion off") as tx:
            await self._require(tx, "deleting")
            await self._activate(tx, who, "tenant.restore")

    async def delete(self, who: Operator, tenant: UUID, name: str, grace_days: int) -> None:
        """Begin a deletion: the tenant is kept out from now on, and purged when the grace is over.

        Raises:
            Malformed: ``name`` is not the tenant's.
            Conflict: it was not exported completely within the last week.
        """
        async with self._change(who, TenantId(tenant), "delete a tenant") as tx:
            found = await self._require(tx, "active", "suspended")
            now = self.clock()
            if name != found.name:
                raise Malformed("type the tenant's name to delete it")
            if found.exported_at is None or found.exported_at < now - EXPORT_IS_GOOD_FOR:
                raise Conflict("export the tenant completely first")
            until = now + timedelta(days=grace_days)
            await store.begin_deletion(tx, who.reason, now, until)
            await _record(tx, who, "tenant.delete")
            await outbox.emit(tx, events.TenantSuspended(tenant_id=tx.tenant, at=now))
            await outbox.emit(tx, _farewell(tx.tenant, now, until))

    async def ask(self, who: Operator, tenant: UUID, asked: AskBody) -> UUID:
        """Ask a tenant for access to its data, or a second operator to break the glass."""
        if asked.kind == "break_glass" and asked.seconds > LONGEST_BREAK_GLASS:
            raise Malformed("a broken glass closes after four hours at most")
        async with self._change(who, TenantId(tenant), "ask for access") as tx:
            await self._require(tx, "active", "suspended", "deleting")
            grant = new_id()
            await store.ask(tx, grant, who, asked)
            await _record(tx, who, "access.request", "operator_grant", str(grant))
        return grant

    async def break_glass(self, who: Operator, tenant: UUID, grant: UUID) -> None:
        """Open, as the second operator, what another one asked for; the tenant is told at once.

        Raises:
            Conflict: it is the operator's own request, or none that waits; the policy of the role says the same.
        """
        async with self._change(who, TenantId(tenant), "break the glass") as tx:
            now = self.clock()
            opened = await store.open_broken_glass(tx, grant, who, now)
            if opened is None:
                raise Conflict(
                    "another operator must have asked for this, and nobody opened it yet"
                )
            await _record(tx, who, "access.break_glass", "operator_grant", str(grant))
            event = events.GlassBroken(
                tenant_id=tx.tenant,
                at=now,
                grant_id=grant,
                operator=opened.operator_name,
                second_operator=who.name,
                reason=opened.reason,
                ticket=opened.ticket,
                ends_at=opened.ends_at,
            )
            await outbox.emit(tx, event)

    async def note_export(self, who: Operator, tenant: UUID, rows: int) -> None:
        async with self._change(who, TenantId(tenant), "note a complete export") as tx:
            await store.set_exported(tx, self.clock())
            await _record(tx, who, "tenant.export", details={"rows": rows})

    async def purge_due(self, who: Operator) -> int:
        """Purge every tenant whose grace is over, each in a transaction of its own."""
        async with self.db.operator_write_connection(
            who.id, who.reason, purpose="find tenants to purge", name=who.name
        ) as tx:
            due = await store.due_for_purge(tx)
        for tenant in due:
            async with self._change(who, TenantId(tenant), "purge a tenant") as tx:
                await store.purge(tx)
        return len(due)

    async def _activate(self, tx: OperatorTx, who: Operator, action: audit.Action) -> None:
        await store.set_status(tx, "active", who.reason, self.clock())
        await _record(tx, who, action)
        await outbox.emit(tx, events.TenantResumed(tenant_id=tx.tenant, at=self.clock()))

    async def _require(self, tx: OperatorTx, *statuses: str) -> store.Standing:
        found = await store.lock_tenant(tx)
        if found is None or found.status == "deleted":
            raise NotFound("no such tenant")
        if found.status not in statuses:
            raise Conflict(f"the tenant is {found.status}")
        return found

    @asynccontextmanager
    async def _change(
        self, who: Operator, tenant: TenantId, purpose: str
    ) -> AsyncIterator[OperatorTx]:
        async with self.db.operator_write_connection(
            who.id, who.reason, tenant=tenant, purpose=purpose, name=who.name
        ) as tx:
            yield tx


def _farewell(tenant: TenantId, now: datetime, until: datetime) -> NoticeRaised:
    return NoticeRaised(
        tenant_id=tenant,
        at=now,
        topic="tenant",
        notice_key=f"deletion {now.isoformat()}",
        title="Your tenant is being deleted",
        text=f"Everything in it is purged after {until:%Y-%m-%d %H:%M} UTC. Until then your administrators can take it"
        " with them.",
        path="/archive",
    )


async def _record(
    tx: OperatorTx,
    who: Operator,
    action: audit.Action,
    object_kind: str = "tenant",
    object_id: str = "",
    details: dict[str, object] | None = None,
) -> None:
    act = audit.Act(
        actor_kind="operator",
        actor_id=who.id,
        action=action,
        object_kind=object_kind,
        object_id=object_id or str(tx.tenant),
        reason=who.reason,
        details=details or {},
    )
    await audit.record(tx, act)
