"""A tenant's audit log for its administrators: a page, a search, and exports that need a recent log-in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse

from pulse_common import audit
from pulse_common.audit_export import sealed_export
from ui_iot import audit_formats, audit_search, audit_store, people, rendering
from ui_iot.audit_models import AuditAnswer, AuditEvent, AuditExportQuery, AuditPageQuery
from ui_iot.operations import read_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from pulse_common.clock import Clock
    from pulse_common.identity import Principal, TenantId
    from pulse_common.tenancy import Database
    from ui_iot.audit_search import Find
    from ui_iot.audit_store import AuditRow, Cursor, Filter
    from ui_iot.callers import Callers
    from ui_iot.own_archive import OwnArchive

CONFIRM_PATH = "/audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditTrail:
    db: Database
    callers: Callers
    clock: Clock
    archive: OwnArchive
    """The log is one of the things that a tenant takes with it."""

    async def page(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = await people.find_viewer(self.db, principal)
        # A form sends its empty fields too.
        given = {name: value for name, value in request.query_params.items() if value}
        query = audit_search.read_form(AuditPageQuery, given)
        rows, next_after = await self._find_page(principal, query)
        filters = {name: value for name, value in given.items() if name != "after"}
        context: dict[str, object] = {
            "events": [{**row, "at": datetime.fromisoformat(row["at"] or "")} for row in rows],
            "filters": filters,
            "filter_query": urlencode(filters),
            "next_query": urlencode({**filters, "after": next_after}) if next_after else "",
        }
        return rendering.page(request, "audit.html", context)

    async def search(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, AuditPageQuery)
        rows, next_after = await self._find_page(principal, query)
        events = [AuditEvent.model_validate(audit_formats.shown(row)) for row in rows]
        answer = AuditAnswer(events=events, next_after=next_after)
        return Response(answer.model_dump_json(), media_type="application/json")

    async def export(self, request: Request, principal: Principal) -> Response:
        """Stream the log, page after page, each a transaction of its own; the export itself is recorded first."""
        query = read_query(request, AuditExportQuery)
        wanted = audit_search.filter_of(query, self.clock())
        tenant = people.tenant_of(principal)
        self.callers.require_recent(principal, CONFIRM_PATH)
        async with self.db.tenant_connection(tenant) as tx:
            await people.require_active_tenant(tx)
            act = audit.Act(
                actor_kind="user",
                actor_id=principal.subject,
                action="audit.export",
                object_kind="audit_log",
                object_id=str(tenant),
                details=query.model_dump(mode="json", exclude_none=True),
            )
            await audit.record(tx, act)
        suffix = "csv" if query.format == "csv" else "jsonl"
        return StreamingResponse(
            self._sealed(tenant)
            if query.format == "sealed"
            else audit_search.lines(self._finder(tenant, wanted), query.format),
            media_type=audit_formats.MEDIA_TYPES[query.format],
            headers={"content-disposition": f'attachment; filename="pulse-audit.{suffix}"'},
        )

    async def _find_page(
        self, principal: Principal, query: AuditPageQuery
    ) -> tuple[list[AuditRow], str | None]:
        tenant = people.tenant_of(principal)
        wanted = audit_search.filter_of(query, self.clock())
        async with self.db.tenant_connection(tenant) as tx:
            await people.require_active_tenant(tx)
        return await audit_search.find_page(self._finder(tenant, wanted), query.after)

    def _finder(self, tenant: TenantId, wanted: Filter) -> Find:
        async def find(after: Cursor | None, limit: int) -> list[AuditRow]:
            async with self.db.tenant_connection(tenant) as tx:
                return await audit_store.search(
                    tx, wanted, after=after, limit=limit, tenant_id=tenant
                )

        return find

    async def _sealed(self, tenant: TenantId) -> AsyncIterator[str]:
        opened = sealed_export(lambda: self.db.tenant_connection(tenant), tenant, self.clock())
        async for part in opened:
            yield part
