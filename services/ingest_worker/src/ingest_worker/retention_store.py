"""The SQL that ends readings: deleted tenant by tenant as plans say, days dropped once they are empty."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from uuid import UUID

    from pulse_common.tenancy import Tx


@dataclass(frozen=True, slots=True)
class Term:
    """A tenant without one keeps its readings for ever."""

    tenant_id: UUID
    days: int


async def list_terms(tx: Tx) -> list[Term]:
    rows = await tx.all(
        "SELECT tenant_id, retention_days FROM billing_entitlements WHERE retention_days IS NOT NULL"
    )
    return [Term(row["tenant_id"], row["retention_days"]) for row in rows]


async def list_old_days(tx: Tx) -> list[date]:
    """Return the days, oldest first, that have a partition and are a week old: no plan keeps less."""
    rows = await tx.all(
        """
        SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
          FROM pg_inherits i
          JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'telemetry'::regclass AND c.relname ~ '^telemetry_[0-9]{8}$'
           AND to_date(right(c.relname, 8), 'YYYYMMDD') <= (now() AT TIME ZONE 'UTC')::date - 7
         ORDER BY 1
        """
    )
    return [row["day"] for row in rows]


async def delete_over(tx: Tx, day: date, terms: Sequence[Term], now: datetime) -> int:
    """Delete of one day what is over for its tenant, and return how many readings that were."""
    over = [term.tenant_id for term in terms if now.date() - day > timedelta(days=term.days)]
    return await tx.execute(
        """
        DELETE FROM telemetry
         WHERE tenant_id = ANY (%(tenants)s::uuid[])
           AND ts >= %(day)s::timestamp AT TIME ZONE 'UTC'
           AND ts < (%(day)s::timestamp + interval '1 day') AT TIME ZONE 'UTC'
        """,
        {"tenants": over, "day": day},
    )


async def drop_if_empty(tx: Tx, day: date) -> bool:
    # The lock waits for whoever reads, and whoever comes after waits for the lock: give up soon.
    await tx.execute("SELECT set_config('lock_timeout', '2s', true)")
    row = await tx.one("SELECT drop_empty_telemetry_day(%(day)s) AS dropped", {"day": day})
    return bool(row["dropped"])
