"""Alerts as the API and the pages need them: reads here, every change through ingest_worker, which owns them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common import events_alerts as calls
from pulse_common.errors import NotFound
from ui_iot import alert_models as models
from ui_iot import alert_store, people
from ui_iot.api import active_tenant
from ui_iot.handlers import request_id
from ui_iot.telemetry_api import name_place, read_place

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.bus import Bus
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database, Row

ALERTS_A_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertWork:
    db: Database
    bus: Bus

    async def rules(self, principal: Principal) -> Sequence[Row]:
        async with active_tenant(self.db, principal) as tx:
            return await alert_store.list_rules(tx)

    async def find_rule(self, principal: Principal, rule_id: UUID) -> Row:
        """Return the rule.

        Raises:
            NotFound: the tenant has none of this id.
        """
        async with active_tenant(self.db, principal) as tx:
            rows = await alert_store.list_rules(tx, rule_id)
        if not rows:
            raise NotFound("no such alert rule")
        return rows[0]

    async def alerts(self, principal: Principal, query: models.AlertsQuery) -> models.AlertsAnswer:
        place = read_place(query.after)
        async with active_tenant(self.db, principal) as tx:
            rows = await alert_store.list_alerts(
                tx,
                state=query.state,
                rule_id=query.rule_id,
                device_id=query.device_id,
                after=place,
                limit=ALERTS_A_PAGE + 1,
            )
        shown = rows[:ALERTS_A_PAGE]
        last = shown[-1] if len(rows) > ALERTS_A_PAGE else None
        return models.AlertsAnswer(
            alerts=[models.AlertAnswer(**row) for row in shown],
            next_after=name_place(last["raised_at"], last["id"]) if last else None,
        )

    async def create(
        self, principal: Principal, rule_id: UUID, wanted: calls.RuleWanted
    ) -> calls.RuleReply:
        asked = calls.CreateRuleRequest(
            tenant_id=people.tenant_of(principal),
            actor_id=principal.subject,
            rule_id=rule_id,
            wanted=wanted,
            request_id=request_id(),
        )
        return await self.bus.call(asked, calls.RuleReply)

    async def change(
        self, principal: Principal, rule_id: UUID, wanted: calls.RuleWanted, version: int | None
    ) -> calls.RuleReply:
        asked = calls.ChangeRuleRequest(
            tenant_id=people.tenant_of(principal),
            actor_id=principal.subject,
            rule_id=rule_id,
            wanted=wanted,
            version=version,
            request_id=request_id(),
        )
        return await self.bus.call(asked, calls.RuleReply)

    async def delete(self, principal: Principal, rule_id: UUID) -> None:
        asked = calls.DeleteRuleRequest(
            tenant_id=people.tenant_of(principal),
            actor_id=principal.subject,
            rule_id=rule_id,
            request_id=request_id(),
        )
        await self.bus.call(asked, calls.RuleReply)

    async def acknowledge(self, principal: Principal, alert_id: UUID) -> calls.AcknowledgeReply:
        async with active_tenant(self.db, principal):
            pass
        asked = calls.AcknowledgeRequest(
            tenant_id=people.tenant_of(principal),
            actor_id=principal.subject,
            alert_id=alert_id,
            request_id=request_id(),
        )
        return await self.bus.call(asked, calls.AcknowledgeReply)
