"""Use cases of a tenant's administrators: who looked at our data, who may, and what we demand of operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from pulse_common import audit
from pulse_common.errors import NotFound
from ui_iot import access_store, people
from ui_iot.access_models import AccessAnswer, Policy

if TYPE_CHECKING:
    from uuid import UUID

    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database, TenantTx
    from ui_iot.access_models import Decision
    from ui_iot.visits import Visit

_ACTIONS: dict[Decision, audit.Action] = {
    "approve": "access.approve",
    "deny": "access.deny",
    "revoke": "access.revoke",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    db: Database

    async def show(self, principal: Principal) -> AccessAnswer:
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            await people.require_active_tenant(tx)
            return AccessAnswer(
                policy=await access_store.read_policy(tx),
                grants=await access_store.list_grants(tx),
                accesses=await access_store.list_looks(tx),
            )

    async def decide(
        self, principal: Principal, grant: UUID, decision: Decision, visit: Visit
    ) -> None:
        """Approve, deny or end one request.

        Raises:
            NotFound: the tenant has none in a state that this decides; somebody else may have been faster.
        """
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            await people.require_active_tenant(tx)
            if not await _decide(tx, grant, decision, principal.subject):
                raise NotFound("there is no such request to decide")
            act = _act(principal, _ACTIONS[decision], "operator_grant", str(grant), visit)
            await audit.record(tx, act)

    async def set_policy(self, principal: Principal, policy: Policy, visit: Visit) -> None:
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            await people.require_active_tenant(tx)
            before = await access_store.read_policy(tx)
            await access_store.set_policy(tx, policy, principal.subject)
            act = audit.Act(
                actor_kind="user",
                actor_id=principal.subject,
                action="tenant.settings_change",
                object_kind="access_policy",
                object_id=str(tx.tenant),
                address=visit.address,
                before=before.model_dump(),
                after=policy.model_dump(),
            )
            await audit.record(tx, act)


def _act(
    principal: Principal, action: audit.Action, kind: str, object_id: str, visit: Visit
) -> audit.Act:
    return audit.Act(
        actor_kind="user",
        actor_id=principal.subject,
        action=action,
        object_kind=kind,
        object_id=object_id,
        address=visit.address,
    )


async def _decide(tx: TenantTx, grant: UUID, decision: Decision, by: str) -> bool:
    match decision:
        case "approve":
            return await access_store.approve(tx, grant, by)
        case "deny":
            return await access_store.deny(tx, grant, by)
        case "revoke":
            return await access_store.revoke(tx, grant, by)
        case _:
            assert_never(decision)
