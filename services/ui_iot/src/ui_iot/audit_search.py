"""What the tenant's and the operators' view of the audit log share: filters from a query, cursors, pages, and files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from pulse_common.errors import Malformed
from pulse_common.ids import parse_id
from ui_iot import audit_formats
from ui_iot.audit_store import AuditRow, Cursor, Filter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ui_iot.api_models import Query
    from ui_iot.audit_models import AuditQuery

PAGE_SIZE = 100
EXPORT_AT_ONCE = 1000
USUAL_SPAN = timedelta(days=30)

Find = Callable[[Cursor | None, int], Awaitable[list[AuditRow]]]
"""Reads at most so many rows below a cursor, newest first, in a transaction of its own."""
Q = TypeVar("Q", bound="Query")


def filter_of(query: AuditQuery, now: datetime) -> Filter:
    until = query.until or now + timedelta(minutes=1)
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


async def find_page(find: Find, after: str | None) -> tuple[list[AuditRow], str | None]:
    """Return a page and the cursor of the next one, None on the last."""
    rows = await find(cursor_of(after), PAGE_SIZE + 1)
    shown = rows[:PAGE_SIZE]
    return shown, name_of(shown[-1]) if len(rows) > PAGE_SIZE else None


async def lines(find: Find, form: str) -> AsyncIterator[str]:
    """Yield a file of what ``find`` finds, page after page."""
    yield audit_formats.header(form)
    after: Cursor | None = None
    while True:
        rows = await find(after, EXPORT_AT_ONCE)
        if not rows:
            return
        yield "".join(audit_formats.line(form, row) for row in rows)
        after = cursor_of(name_of(rows[-1]))


def name_of(row: AuditRow) -> str:
    return f"{row['at']}_{row['audit_id']}"


def cursor_of(text: str | None) -> Cursor | None:
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


def read_form(model: type[Q], given: dict[str, str]) -> Q:
    """Read a form's filters; a page says which one cannot be read."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise Malformed(f"{error.errors()[0]['loc'][0]} cannot be read") from None
