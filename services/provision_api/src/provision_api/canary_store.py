"""What the canary tenants try on each other: SQL that must find nothing, touch nothing, or be refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulse_common.identity import TenantId
    from pulse_common.tenancy import TenantTx, Tx

READ: LiteralString = """
    WITH held AS MATERIALIZED (
        SELECT c.relname::text AS name
          FROM pg_class c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
           AND has_column_privilege(c.oid, a.attnum, 'SELECT')
    )
    SELECT name
      FROM held
     WHERE EXISTS (SELECT FROM ts_stat(format(
               'SELECT ''seen''::tsvector FROM %%I WHERE tenant_id <> %%L LIMIT 1', name, %(mine)s::text)))
     ORDER BY name
"""
"""Names each table in which another tenant's row is seen; tables are found in the catalogue, so tomorrow's too.

``ts_stat`` is PostgreSQL's own way to run a query made of text; it asks as ``pulse_app``, bound by the policies.
"""

ACTS: Mapping[str, LiteralString] = {
    "change theirs": "UPDATE devices SET name = name WHERE device_id = %(their_device)s",
    "delete theirs": "DELETE FROM devices WHERE device_id = %(their_device)s",
    "take theirs": "UPDATE devices SET tenant_id = %(mine)s WHERE device_id = %(their_device)s",
    "plant among theirs": """
        INSERT INTO devices (tenant_id, device_id, name) VALUES (%(theirs)s, gen_random_uuid(), 'Canary')
    """,
    "give away": "UPDATE devices SET tenant_id = %(theirs)s WHERE device_id = %(my_device)s",
}


@dataclass(frozen=True, slots=True)
class Bird:
    """One canary: a tenant with one device, whose id is the tenant's."""

    tenant: TenantId
    name: str


async def take_turn(tx: Tx) -> bool:
    """Be the one that probes until the transaction ends."""
    row = await tx.one(
        "SELECT pg_try_advisory_xact_lock(hashtext('pulse.isolation.canary')) AS held"
    )
    return bool(row["held"])


async def keep_device(tx: TenantTx, bird: Bird) -> None:
    await tx.execute(
        """
        INSERT INTO devices (tenant_id, device_id, name, status)
        VALUES (%(tenant)s, %(tenant)s, %(name)s, 'disabled') ON CONFLICT DO NOTHING
        """,
        {"tenant": bird.tenant, "name": bird.name},
    )


async def tables_seen(tx: TenantTx) -> list[str]:
    return [str(row["name"]) for row in await tx.all(READ, {"mine": tx.tenant})]


async def sees_itself(tx: TenantTx) -> bool:
    row = await tx.one(
        "SELECT count(*) AS n FROM devices WHERE device_id = %(mine)s", {"mine": tx.tenant}
    )
    return bool(row["n"])
