"""A tenant's audit log for its administrators: a page, a search, and exports that need a recent log-in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.responses import Response, StreamingResponse

from pulse_common import audit
from pulse_common.audit_export import sealed_export
from pulse_common.errors import Malformed
from pulse_common.ids import parse_id
from ui_iot import audit_formats, audit_store, people, rendering
from ui_iot.audit_models import AuditAnswer, AuditEvent, AuditExportQuery, AuditPageQuery
from ui_iot.audit_store import Cursor, Filter
from ui_iot.operations import read_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from pulse_common.clock import Clock
    from pulse_common.identity import Principal, TenantId
    from pulse_common.tenancy import Database
    from ui_iot.audit_models import AuditQuery
    from ui_iot.audit_store import AuditRow
    from ui_iot.callers import Callers

PAGE_SIZE = 100
EXPORT_AT_ONCE = 1000
USUAL_SPAN = timedelta(days=30)
CONFIRM_PATH = "/audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditTrail:
    db: Database
    callers: Callers
    clock: Clock

    async def page(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = await people.find_viewer(self.db, principal)
        # A form sends its empty fields too.
        given = {name: value for name, value in request.query_params.items() if value}
        query = _read(AuditPageQuery, given)
        rows, next_after = await self._find(principal, query)
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
        rows, next_after = await self._find(principal, query)
        events = [AuditEvent.model_validate(audit_formats.shown(row)) for row in rows]
        answer = AuditAnswer(events=events, next_after=next_after)
        return Response(answer.model_dump_json(), media_type="application/json")

    async def export(self, request: Request, principal: Principal) -> Response:
        """Stream the log, page after page, each a transaction of its own; the export itself is recorded first."""
        query = read_query(request, AuditExportQuery)
        wanted = self._filter(query)
        tenant = people.tenant_of(principal)
        self.callers.require_recent(principal, CONFIRM_PATH)
        visit = self.callers.visit_of(request)
        async with self.db.tenant_connection(tenant) as tx:
            await people.require_active_tenant(tx)
            act = audit.Act(
                actor_kind="user",
                actor_id=principal.subject,
                action="audit.export",
                object_kind="audit_log",
                object_id=str(tenant),
                address=visit.address,
                user_agent=visit.user_agent,
                details=query.model_dump(mode="json", exclude_none=True),
            )
            await audit.record(tx, act)
        suffix = "csv" if query.format == "csv" else "jsonl"
        return StreamingResponse(
            self._sealed(tenant)
            if query.format == "sealed"
            else self._lines(tenant, wanted, query.format),
            media_type=audit_formats.MEDIA_TYPES[query.format],
            headers={"content-disposition": f'attachment; filename="pulse-audit.{suffix}"'},
        )

    async def _find(
        self, principal: Principal, query: AuditPageQuery
    ) -> tuple[list[AuditRow], str | None]:
        tenant = people.tenant_of(principal)
        wanted, after = self._filter(query), _cursor(query.after)
        async with self.db.tenant_connection(tenant) as tx:
            await people.require_active_tenant(tx)
            rows = await audit_store.search(
                tx, wanted, after=after, limit=PAGE_SIZE + 1, tenant_id=tenant
            )
        shown = rows[:PAGE_SIZE]
        return shown, _name(shown[-1]) if len(rows) > PAGE_SIZE else None

    def _filter(self, query: AuditQuery) -> Filter:
        until = query.until or self.clock() + timedelta(minutes=1)
        try:
            since = query.since or until - USUAL_SPAN
        except OverflowError:
            raise Malformed("until cannot be read") from None
        return Filter(
            since=since,
            until=until,
            action=query.action,
            actor_id=query.actor_id,
            object_id=query.object_id,
            outcome=query.outcome,
            text=query.text,
        )

    async def _lines(self, tenant: TenantId, wanted: Filter, form: str) -> AsyncIterator[str]:
        yield audit_formats.header(form)
        after: Cursor | None = None
        while True:
            async with self.db.tenant_connection(tenant) as tx:
                rows = await audit_store.search(
                    tx, wanted, after=after, limit=EXPORT_AT_ONCE, tenant_id=tenant
                )
            if not rows:
                return
            yield "".join(audit_formats.line(form, row) for row in rows)
            after = _cursor(_name(rows[-1]))

    async def _sealed(self, tenant: TenantId) -> AsyncIterator[str]:
        opened = sealed_export(lambda: self.db.tenant_connection(tenant), tenant, self.clock())
        async for part in opened:
            yield part


def _name(row: AuditRow) -> str:
    return f"{row['at']}_{row['audit_id']}"


def _cursor(text: str | None) -> Cursor | None:
    if text is None:
        return None
    at, _, audit_id = text.partition("_")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise Malformed("after is not a cursor of ours") from None
    if moment.tzinfo is None:
        raise Malformed("after is not a cursor of ours")
    return Cursor(moment, parse_id(audit_id, "after"))


def _read(model: type[AuditPageQuery], given: dict[str, str]) -> AuditPageQuery:
    """Read a form's filters; a page says which one cannot be read."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise Malformed(f"{error.errors()[0]['loc'][0]} cannot be read") from None
