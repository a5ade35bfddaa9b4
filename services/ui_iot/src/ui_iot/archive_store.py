"""The SQL of a tenant's archive: a page of one table, bounded in rows and in bytes, each row as a line of JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    from datetime import datetime

    from pulse_common.tenancy import TenantTx, Tx
    from ui_iot.archive_table import Table

MOST_ROWS = 5000
MOST_BYTES = 4 * 1024 * 1024

_FIND = "SELECT name, status, exported_at, purge_after FROM tenants WHERE tenant_id = %(tenant)s"
_NOTE = "UPDATE tenants SET exported_at = %(now)s WHERE tenant_id = %(tenant)s"
_SCOPES = """
    SELECT s.scope,
           s.undemanded OR EXISTS (SELECT FROM operator_grants g
                                    WHERE g.tenant_id = %(tenant)s AND g.status = 'active' AND s.scope = ANY (g.scopes)
                                      AND now() >= g.begins_at AND now() < g.ends_at) AS open
      FROM (VALUES ('telemetry', EXISTS (SELECT FROM tenant_access_policies p WHERE p.tenant_id = %(tenant)s
                                            AND NOT p.telemetry_needs_approval)),
                   ('secrets', EXISTS (SELECT FROM tenant_access_policies p WHERE p.tenant_id = %(tenant)s
                                          AND NOT p.secrets_need_approval)),
                   ('metadata', NOT EXISTS (SELECT FROM tenant_access_policies p WHERE p.tenant_id = %(tenant)s
                                               AND p.metadata_needs_approval))) AS s (scope, undemanded)
"""


@dataclass(frozen=True, slots=True)
class Page:
    """``after`` is the last row's key, for the next page; None when there is none."""

    lines: list[str]
    after: tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class Known:
    name: str
    status: str
    exported_at: datetime | None
    purge_after: datetime | None


async def find_tenant(tx: TenantTx) -> Known | None:
    row = await tx.one_or_none(_FIND, {"tenant": tx.tenant})
    return None if row is None else Known(**row)


async def note_taken(tx: TenantTx, now: datetime) -> None:
    await tx.execute(_NOTE, {"tenant": tx.tenant, "now": now})


async def withheld_scopes(tx: TenantTx) -> list[str]:
    """Return what the tenant's demands and grants do not open to the operator of this transaction."""
    rows = await tx.all(_SCOPES, {"tenant": tx.tenant})
    return sorted(str(row["scope"]) for row in rows if not row["open"])


async def read_page(
    tx: Tx, table: Table, tenant: object, after: tuple[Any, ...] | None, most_rows: int = MOST_ROWS
) -> Page:
    """Read what comes after a key.  At least one row, however large, and else at most ``MOST_BYTES``."""
    values: dict[str, Any] = {"tenant": tenant, "rows": most_rows, "bytes": MOST_BYTES}
    for number, value in enumerate(after or ()):
        values[f"after_{number}"] = value
    found = await tx.all(_query(table, first=after is None), values)
    if not found:
        return Page([], None)
    complete = found[0]["met"] < most_rows and found[0]["met"] == len(found)
    last = tuple(found[-1][f"key_{number}"] for number in range(len(table.key)))
    return Page([row["line"] for row in found], None if complete else last)


def _query(table: Table, *, first: bool) -> LiteralString:
    """Write the statement; every part of it is a literal of ``archive_tables``."""
    key: LiteralString = ", ".join(table.key)
    beyond: LiteralString = ""
    if not first:
        wanted = ", ".join(_AFTER[: len(table.key)])
        beyond = f" AND ({key}) > ({wanted})"
    keys: LiteralString = ", ".join(
        f"r.{name} AS {alias}" for name, alias in zip(table.key, _KEYS, strict=False)
    )
    aliases: LiteralString = ", ".join(_KEYS[: len(table.key)])
    return f"""
        SELECT line, met, {aliases}
          FROM (SELECT line, {aliases}, count(*) OVER () AS met,
                       sum(octet_length(line)) OVER (ORDER BY {aliases}) AS upto
                  FROM (SELECT to_jsonb(r)::text AS line, {keys}
                          FROM (SELECT {table.columns} FROM {table.name}
                                 WHERE tenant_id = %(tenant)s{beyond}
                                 ORDER BY {key}
                                 LIMIT %(rows)s) r) lines) bounded
         WHERE upto <= %(bytes)s OR upto = octet_length(line)
         ORDER BY {aliases}
    """  # noqa: S608 -- literals, as the type checker sees


_KEYS: tuple[LiteralString, ...] = ("key_0", "key_1", "key_2", "key_3")
_AFTER: tuple[LiteralString, ...] = ("%(after_0)s", "%(after_1)s", "%(after_2)s", "%(after_3)s")
