"""What ui_iot asks for a tenant: rules made, changed, deleted, alerts acknowledged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest_worker.alerts import rule_store, store
from ingest_worker.alerts.judging import tell_cleared
from ingest_worker.alerts.rules import checked
from pulse_common import audit, entitlements, outbox
from pulse_common import events_alerts as calls
from pulse_common.errors import Conflict, NotFound, Stale
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from uuid import UUID

    from ingest_worker.alerts.known_rules import KnownRules
    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, TenantTx

MOST_RULES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    database: Database
    rules: KnownRules
    clock: Clock

    async def listen(self, bus: Bus) -> None:
        await bus.answer(calls.CreateRuleRequest, self.create)
        await bus.answer(calls.ChangeRuleRequest, self.change)
        await bus.answer(calls.DeleteRuleRequest, self.delete)
        await bus.answer(calls.AcknowledgeRequest, self.acknowledge)

    async def create(self, asked: calls.CreateRuleRequest) -> calls.RuleReply:
        """Make a rule.

        Raises:
            Malformed: the parts of the rule do not belong together.
            Conflict, LimitReached: there are as many as may be; the tenant is read-only.
        """
        wanted = checked(asked.wanted)
        async with self._tenant(asked.tenant_id) as tx:
            await _require_writable(tx)
            there = await rule_store.find_version(tx, asked.rule_id)
            if there is not None:
                return calls.RuleReply(rule_id=asked.rule_id, version=there)
            if await rule_store.count(tx) >= MOST_RULES:
                raise Conflict(f"there are {MOST_RULES} alert rules: delete one first")
            await rule_store.add(tx, asked.rule_id, wanted, self.clock())
            await self._note(tx, asked, "alert_rule.create", wanted.model_dump(mode="json"))
        self.rules.forget(asked.tenant_id)
        return calls.RuleReply(rule_id=asked.rule_id, version=1)

    async def change(self, asked: calls.ChangeRuleRequest) -> calls.RuleReply:
        """Replace a rule, and clear what it has raised: the new one judges anew.

        Raises:
            Malformed, LimitReached: as ``create``.
            NotFound, Stale: there is no such rule, or it was changed since that version.
        """
        wanted = checked(asked.wanted)
        async with self._tenant(asked.tenant_id) as tx:
            await _require_writable(tx)
            version = await _find(tx, asked.rule_id)
            if asked.version not in {None, version}:
                raise Stale("the alert rule has changed: read it again")
            await rule_store.change(tx, asked.rule_id, wanted, self.clock())
            await self._clear(tx, asked.rule_id)
            await self._note(tx, asked, "alert_rule.change", wanted.model_dump(mode="json"))
        self.rules.forget(asked.tenant_id)
        return calls.RuleReply(rule_id=asked.rule_id, version=version + 1)

    async def delete(self, asked: calls.DeleteRuleRequest) -> calls.RuleReply:
        """Delete a rule; what it has raised is cleared and stays in the history.

        Raises:
            NotFound: there is no such rule.
        """
        async with self._tenant(asked.tenant_id) as tx:
            version = await _find(tx, asked.rule_id)
            await self._clear(tx, asked.rule_id)
            await rule_store.delete(tx, asked.rule_id)
            await self._note(tx, asked, "alert_rule.delete", {})
        self.rules.forget(asked.tenant_id)
        return calls.RuleReply(rule_id=asked.rule_id, version=version)

    async def acknowledge(self, asked: calls.AcknowledgeRequest) -> calls.AcknowledgeReply:
        """Note who takes care.  The first one stands; asking again changes nothing.

        Raises:
            NotFound: there is no such alert.
        """
        async with self._tenant(asked.tenant_id) as tx:
            done = await rule_store.acknowledge(tx, asked.alert_id, asked.actor_id, self.clock())
            if done is None:
                raise NotFound("no such alert")
            if done["is_new"]:
                act = _act(asked, "alert.acknowledge", "alert", asked.alert_id, {})
                await audit.record(tx, act)
        return calls.AcknowledgeReply(alert_id=asked.alert_id, acknowledged_at=done["at"])

    async def _clear(self, tx: TenantTx, rule_id: UUID) -> None:
        await tell_cleared(tx, await rule_store.clear_all(tx, rule_id, self.clock()), self.clock)

    async def _note(
        self,
        tx: TenantTx,
        asked: calls.RuleCall,
        action: audit.Action,
        details: Mapping[str, object],
    ) -> None:
        await audit.record(tx, _act(asked, action, "alert_rule", asked.rule_id, details))
        event = calls.AlertRulesChanged(tenant_id=tx.tenant, at=self.clock(), rule_id=asked.rule_id)
        await outbox.emit(tx, event)

    def _tenant(self, tenant: UUID) -> AbstractAsyncContextManager[TenantTx]:
        return self.database.service_tenant_connection("pulse_ingest", TenantId(tenant))


async def _require_writable(tx: TenantTx) -> None:
    await store.lock(tx)
    (await entitlements.load(tx)).require_writable()


async def _find(tx: TenantTx, rule_id: UUID) -> int:
    await store.lock(tx)
    version = await rule_store.find_version(tx, rule_id)
    if version is None:
        raise NotFound("no such alert rule")
    return version


def _act(
    asked: calls.RuleCall | calls.AcknowledgeRequest,
    action: audit.Action,
    kind: str,
    id_: UUID,
    details: Mapping[str, object],
) -> audit.Act:
    return audit.Act(
        actor_kind="user",
        actor_id=asked.actor_id,
        action=action,
        object_kind=kind,
        object_id=str(id_),
        request_id=asked.request_id,
        details=details,
    )
