"""Device groups as the API and the pages need them: reads here, every change through provision_api, which owns them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common import events_groups as calls
from pulse_common.errors import NotFound
from ui_iot import group_store
from ui_iot.api import active_tenant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.bus import Bus
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWork:
    db: Database
    bus: Bus

    async def list(self, principal: Principal) -> Sequence[Row]:
        async with active_tenant(self.db, principal) as tx:
            return await group_store.list_groups(tx)

    async def find(self, principal: Principal, group_id: UUID) -> Row:
        """Return the group.

        Raises:
            NotFound: the tenant has none of this id.
        """
        async with active_tenant(self.db, principal) as tx:
            rows = await group_store.list_groups(tx, group_id)
        if not rows:
            raise NotFound("no such device group")
        return rows[0]

    async def members(
        self, principal: Principal, group_id: UUID, after: UUID | None, limit: int
    ) -> Sequence[Row]:
        async with active_tenant(self.db, principal) as tx:
            return await group_store.list_members(tx, group_id, after, limit)

    async def ask(self, call: calls.GroupCall) -> calls.GroupReply:
        return await self.bus.call(call, calls.GroupReply)
