"""Use cases of operators who look: every read names its reason, and each tenant that it touches is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common.errors import Forbidden, NotFound
from pulse_common.identity import TenantId
from ui_iot import operator_models as models
from ui_iot import operator_store

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from uuid import UUID

    from pulse_common.tenancy import Database, OperatorTx
    from ui_iot.access_models import Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Who looks, and why."""

    id: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operators:
    """``db`` is the operators' own login."""

    db: Database

    async def tenants(self, who: Operator) -> list[models.Tenant]:
        async with self._platform(who, "list tenants") as tx:
            return await operator_store.tenants(tx)

    async def tenant(self, who: Operator, tenant: UUID) -> models.TenantAnswer:
        async with self._platform(who, "read a tenant's standing", TenantId(tenant)) as tx:
            found = await operator_store.tenants(tx, tenant)
            if not found:
                raise NotFound("no such tenant")
            return models.TenantAnswer(
                tenant=found[0], grants=await operator_store.grants(tx, tenant)
            )

    async def requests(self, who: Operator) -> list[Grant]:
        async with self._platform(who, "list requests for access") as tx:
            return await operator_store.grants(tx)

    async def health(self, who: Operator) -> models.HealthAnswer:
        async with self.db.operator_data_connection(
            who.id, who.reason, purpose="what of the platform expires", name=who.name
        ) as tx:
            expiring = await operator_store.warnings(tx)
        async with self._platform(who, "certificate, list and queue health") as tx:
            return await operator_store.health(tx, expiring)

    async def devices(self, who: Operator, text: str) -> list[models.FoundDevice]:
        """Search the devices of every tenant that lets metadata be read; each one found is told."""
        async with self.db.operator_data_connection(
            who.id, who.reason, purpose="search devices", name=who.name
        ) as tx:
            found = await operator_store.devices(tx, text)
            await tx.touch(TenantId(tenant) for tenant in sorted({d.tenant_id for d in found}))
        return found

    async def states(self, who: Operator, tenant: UUID) -> list[models.DeviceState]:
        """Read the newest readings of a tenant's devices.

        Raises:
            Forbidden: the tenant demands approval and has not given it, or its time is over.
        """
        async with self.db.operator_data_connection(
            who.id,
            who.reason,
            tenants=[TenantId(tenant)],
            purpose="read telemetry",
            name=who.name,
        ) as tx:
            let_in = await operator_store.is_let_in(tx, tenant)
            found = await operator_store.states(tx, tenant)
        if not let_in:
            raise Forbidden("the tenant has not approved this: ask for access first")
        return found

    async def note(self, who: Operator, purpose: str, tenant: TenantId | None = None) -> None:
        """Write down that somebody looks at what another service is about to tell: no audit row, no question."""
        async with self._platform(who, purpose, tenant):
            return

    def _platform(
        self, who: Operator, purpose: str, tenant: TenantId | None = None
    ) -> AbstractAsyncContextManager[OperatorTx]:
        return self.db.operator_read_connection(
            who.id,
            who.reason,
            tenants=[tenant] if tenant else [],
            purpose=purpose,
            name=who.name,
        )
