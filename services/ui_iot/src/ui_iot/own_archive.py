"""A tenant takes everything with it: its administrators, also while it is being deleted.

It is the one thing that a tenant which is being deleted still reaches.  A suspended one reaches nothing, and loses
nothing: what is its own stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import Response, StreamingResponse

from pulse_common import audit
from pulse_common.audit_export import sealed_export
from pulse_common.errors import Forbidden, Malformed
from ui_iot import archive_store, people, rendering
from ui_iot.archive import FORMAT, MEDIA_TYPE, SEALED, Archive
from ui_iot.archive_seats import ArchiveSeats
from ui_iot.archive_tables import TABLES
from ui_iot.audit_models import ArchiveQuery
from ui_iot.operations import read_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request

    from pulse_common.clock import Clock
    from pulse_common.identity import Principal, TenantId
    from pulse_common.tenancy import Database
    from ui_iot.archive_store import Known, Page
    from ui_iot.archive_table import Table
    from ui_iot.callers import Callers

PAGE = "/archive"
_OPEN = frozenset({"active", "deleting"})
NAMES = (*(table.name for table in TABLES), SEALED)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnArchive:
    db: Database
    callers: Callers
    clock: Clock
    seats: ArchiveSeats = field(default_factory=ArchiveSeats)

    async def page(self, request: Request, principal: Principal) -> Response:
        tenant = people.tenant_of(principal)
        known = await self._known(tenant)
        request.state.viewer = (
            await people.find_viewer(self.db, principal)
            if known.status == "active"
            else people.stranger(principal)
        )
        context: dict[str, object] = {"tenant": known, "names": NAMES}
        return rendering.page(request, "archive.html", context)

    async def download(self, request: Request, principal: Principal) -> Response:
        """Stream the archive, or the tables that are named: what a broken download lacks needs no other one."""
        wanted = _wanted(read_query(request, ArchiveQuery).tables)
        tenant = people.tenant_of(principal)
        self.callers.require_recent(principal, PAGE)
        known = await self._known(tenant)
        self.seats.require_free(tenant)
        await self._record(tenant, principal, {"format": FORMAT, "tables": list(wanted) or "all"})
        return StreamingResponse(
            self._stream(tenant, principal, known, wanted),
            media_type=MEDIA_TYPE,
            headers={"content-disposition": f'attachment; filename="pulse-{tenant}.tar"'},
        )

    async def _stream(
        self, tenant: TenantId, principal: Principal, known: Known, wanted: Sequence[str]
    ) -> AsyncIterator[bytes]:
        async def read(table: Table, after: tuple[Any, ...] | None) -> Page:
            async with self.db.tenant_connection(tenant) as tx:
                return await archive_store.read_page(tx, table, tenant, after)

        def sealed() -> AsyncIterator[str]:
            return sealed_export(lambda: self.db.tenant_connection(tenant), tenant, self.clock())

        archive = Archive(
            tenant=tenant,
            tables=[table for table in TABLES if not wanted or table.name in wanted],
            read=read,
            clock=self.clock,
            about={"tenant": known.name, "status": known.status, "complete": not wanted},
            sealed=sealed if not wanted or SEALED in wanted else None,
        )
        with self.seats.take(tenant):
            async for part in archive.stream():
                yield part
            await self._record(
                tenant, principal, {"rows": archive.rows, "complete": not wanted}, taken=not wanted
            )
            yield archive.finish()

    async def _known(self, tenant: TenantId) -> Known:
        async with self.db.tenant_connection(tenant) as tx:
            known = await archive_store.find_tenant(tx)
        if known is None or known.status not in _OPEN:
            raise Forbidden(people.NOT_ACTIVE)
        return known

    async def _record(
        self,
        tenant: TenantId,
        principal: Principal,
        details: dict[str, object],
        *,
        taken: bool = False,
    ) -> None:
        act = audit.Act(
            actor_kind="user",
            actor_id=principal.subject,
            action="tenant.export",
            object_kind="tenant",
            object_id=str(tenant),
            details=details,
        )
        async with self.db.tenant_connection(tenant) as tx:
            if taken:
                await archive_store.note_taken(tx, self.clock())
            await audit.record(tx, act)


def _wanted(text: str | None) -> tuple[str, ...]:
    names = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise Malformed(f"there is no table {unknown[0][:40]}")
    return names
