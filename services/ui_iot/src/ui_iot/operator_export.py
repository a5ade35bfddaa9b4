"""A tenant's archive for an operator who takes it in its stead: as far as the tenant lets the operator in.

The manifest says what was withheld, and what an operator's archive never holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulse_common.errors import NotFound
from pulse_common.identity import TenantId
from ui_iot import archive_store
from ui_iot.archive import SEALED, Archive
from ui_iot.archive_tables import TABLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from uuid import UUID

    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, OperatorTx
    from ui_iot.archive_store import Known, Page
    from ui_iot.archive_table import Table
    from ui_iot.operator_changes import OperatorChanges
    from ui_iot.operators import Operator

LEFT_OUT = {
    SEALED: "each look of an operator's is one more row of the log; the tenant takes it, and no purge deletes it"
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorExport:
    db: Database
    changes: OperatorChanges
    clock: Clock

    async def stream(self, who: Operator, tenant: UUID, known: Known) -> AsyncIterator[bytes]:
        """Yield the archive; one from which nothing was withheld is noted, since a deletion asks for it."""

        async def read(table: Table, after: tuple[Any, ...] | None) -> Page:
            async with self._opened(who, tenant, table) as tx:
                return await archive_store.read_page(tx, table, tenant, after)

        async with self._data(who, tenant, "what an export may hold") as tx:
            withheld = await archive_store.withheld_scopes(tx)
        archive = Archive(
            tenant=tenant,
            tables=[table for table in TABLES if table.reach not in withheld],
            read=read,
            clock=self.clock,
            about={
                "tenant": known.name,
                "status": known.status,
                "complete": not withheld,
                "withheld": withheld,
                "left_out": LEFT_OUT,
            },
        )
        async for part in archive.stream():
            yield part
        if not withheld:
            await self.changes.note_export(who, tenant, archive.rows)
        yield archive.finish()

    async def require_tenant(self, who: Operator, tenant: UUID) -> Known:
        """Refuse before the first byte, since afterwards the status has gone out."""
        async with self._platform(who, tenant, "export") as tx:
            known = await archive_store.find_tenant(tx)
        if known is None:
            raise NotFound("no such tenant")
        return known

    def _opened(
        self, who: Operator, tenant: UUID, table: Table
    ) -> AbstractAsyncContextManager[OperatorTx]:
        purpose = f"export a tenant: {table.name}"
        if table.reach == "platform":
            return self._platform(who, tenant, purpose)
        return self._data(who, tenant, purpose)

    def _platform(
        self, who: Operator, tenant: UUID, purpose: str
    ) -> AbstractAsyncContextManager[OperatorTx]:
        return self.db.operator_read_connection(
            who.id, who.reason, tenants=[TenantId(tenant)], purpose=purpose, name=who.name
        )

    def _data(
        self, who: Operator, tenant: UUID, purpose: str
    ) -> AbstractAsyncContextManager[OperatorTx]:
        return self.db.operator_data_connection(
            who.id, who.reason, tenants=[TenantId(tenant)], purpose=purpose, name=who.name
        )
