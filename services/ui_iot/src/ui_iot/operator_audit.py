"""The audit log of all tenants for operators: the filters, pages and files that a tenant has of its own log.

Each page is a transaction that tells the platform, and every tenant whose rows are on it, who looked and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import Response, StreamingResponse

from pulse_common import audit
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT
from ui_iot import audit_formats, audit_search, audit_store, operator_models
from ui_iot.operations import read_query

if TYPE_CHECKING:
    from starlette.requests import Request

    from pulse_common.clock import Clock
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database
    from ui_iot.audit_search import Find
    from ui_iot.audit_store import AuditRow, Cursor, Filter
    from ui_iot.callers import Callers
    from ui_iot.operator_who import Reasons
    from ui_iot.operators import Operator

PAGE = "/operator/audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAudit:
    """``db`` is the operators' own login."""

    db: Database
    reasons: Reasons
    callers: Callers
    clock: Clock

    async def search(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, operator_models.AuditSearch)
        who = self.reasons.of_program(request, principal)
        rows, next_after = await self._find_page(who, query)
        lines = [operator_models.AuditLine.model_validate(audit_formats.shown(row)) for row in rows]
        answer = operator_models.AuditAnswer(lines=lines, next_after=next_after)
        return Response(answer.model_dump_json(), media_type="application/json")

    async def context(self, request: Request, who: Operator) -> dict[str, object]:
        """Return what the console's page shows."""
        # A form sends its empty fields too.
        given = {name: value.strip() for name, value in request.query_params.items()}
        given = {name: value for name, value in given.items() if value}
        query = audit_search.read_form(operator_models.AuditSearch, given)
        rows, next_after = await self._find_page(who, query)
        filters = {name: value for name, value in given.items() if name != "after"}
        return {
            "lines": [{**row, "at": datetime.fromisoformat(row["at"] or "")} for row in rows],
            "platform": str(PLATFORM_TENANT),
            "filters": filters,
            "filter_query": urlencode(filters),
            "next_query": urlencode({**filters, "after": next_after}) if next_after else "",
        }

    async def export(self, request: Request, principal: Principal) -> Response:
        self.callers.require_recent(principal, PAGE)
        who = self.reasons.of_program(request, principal)
        return await self.file(request, who)

    async def file(self, request: Request, who: Operator) -> Response:
        """Stream what the filters find; the export itself is recorded first."""
        query = read_query(request, operator_models.AuditExport)
        wanted = audit_search.filter_of(query, self.clock())
        about = [TenantId(query.tenant_id)] if query.tenant_id else []
        async with self.db.operator_read_connection(
            who.id, who.reason, tenants=about, purpose="export the audit log", name=who.name
        ) as tx:
            act = audit.Act(
                actor_kind="operator",
                actor_id=who.id,
                action="audit.export",
                object_kind="audit_log",
                object_id=str(query.tenant_id or "all"),
                reason=who.reason,
                details=query.model_dump(mode="json", exclude_none=True),
            )
            await audit.record(tx, act)
        suffix = "csv" if query.format == "csv" else "jsonl"
        find = self._finder(who, wanted, query.tenant_id)
        return StreamingResponse(
            audit_search.lines(find, query.format),
            media_type=audit_formats.MEDIA_TYPES[query.format],
            headers={"content-disposition": f'attachment; filename="pulse-audit.{suffix}"'},
        )

    async def _find_page(
        self, who: Operator, query: operator_models.AuditSearch
    ) -> tuple[list[AuditRow], str | None]:
        wanted = audit_search.filter_of(query, self.clock())
        return await audit_search.find_page(self._finder(who, wanted, query.tenant_id), query.after)

    def _finder(self, who: Operator, wanted: Filter, tenant: UUID | None) -> Find:
        about = [TenantId(tenant)] if tenant else []

        async def find(after: Cursor | None, limit: int) -> list[AuditRow]:
            async with self.db.operator_read_connection(
                who.id, who.reason, tenants=about, purpose="search the audit log", name=who.name
            ) as tx:
                rows = await audit_store.search(
                    tx, wanted, after=after, limit=limit, tenant_id=tenant
                )
                met = {UUID(row["tenant_id"]) for row in rows} - {PLATFORM_TENANT, tenant}
                await tx.touch(TenantId(other) for other in sorted(met))
            return rows

        return find
