"""Refuse to start when the catalogue does not keep tenants apart.

Row-level security is inert for a superuser, for BYPASSRLS, and for an owner without FORCE; one table without a policy
is open.  So every service asks the catalogue, as its own login, before it serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

_LOGIN = """
    SELECT rolname, rolsuper, rolbypassrls, rolinherit,
           EXISTS (SELECT FROM pg_class WHERE relowner = pg_roles.oid) AS owns
      FROM pg_roles
     WHERE rolname = session_user
"""
_TABLES = """
    SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,
           EXISTS (SELECT FROM pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped) AS of_tenants,
           EXISTS (SELECT FROM pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull) AS tenant_not_null,
           EXISTS (SELECT FROM pg_policy p
                    WHERE p.polrelid = c.oid AND p.polname = 'tenant_isolation' AND p.polcmd = '*'
                      AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL) AS isolated,
           EXISTS (SELECT FROM pg_policy p
                    WHERE p.polrelid = c.oid AND p.polpermissive AND p.polname <> 'tenant_isolation'
                      AND (0 = ANY (p.polroles) OR 'pulse_app'::regrole = ANY (p.polroles))) AS opened
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> 'schema_migrations'
     ORDER BY c.relname
"""


class IsolationError(Exception):
    """The database would not keep tenants apart; the message names every violation."""


async def violations(database: Database) -> list[str]:
    """Return every way in which the catalogue falls short, empty when there is none."""
    async with database.catalogue_connection() as tx:
        login = await tx.one(_LOGIN)
        tables = await tx.all(_TABLES)
    name = login["rolname"]
    faults = [
        (login["rolsuper"], f"login {name} is a superuser"),
        (login["rolbypassrls"], f"login {name} has BYPASSRLS"),
        (login["rolinherit"], f"login {name} inherits its roles"),
        (login["owns"], f"login {name} owns relations"),
        (not tables, "there are no tables: have the migrations run?"),
    ]
    for table in tables:
        relation = table["relname"]
        tenant_table = table["of_tenants"]
        faults += [
            (not table["relrowsecurity"], f"table {relation} has row-level security off"),
            (not table["relforcerowsecurity"], f"table {relation} does not FORCE it"),
            (tenant_table and not table["tenant_not_null"], f"{relation}.tenant_id may be null"),
            (tenant_table and not table["isolated"], f"table {relation} lacks tenant_isolation"),
            (table["opened"], f"table {relation} has a second permissive policy for pulse_app"),
        ]
    return [fault for found, fault in faults if found]


async def require(database: Database) -> None:
    """Raise unless the catalogue is sound.

    Raises:
        IsolationError: naming every violation.
        Unavailable: the database cannot be asked.
    """
    found = await violations(database)
    if found:
        raise IsolationError("; ".join(found))
    log.info("isolation_checked")
