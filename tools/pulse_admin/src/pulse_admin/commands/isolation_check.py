"""Ask the catalogue whether tenants are apart, and name every violation.

Any login will do, since the system catalogue is open to all of them; the one that asks is not judged unless it is a
service's.  With ``--declared`` the grants and policies are held against a list from the repository (``db/access.txt``),
so that the database's own list need not be trusted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pulse_admin.database import connected
from pulse_common.declared_access import FACTS, REMEMBERED, differences
from pulse_common.isolation_rules import VIOLATIONS

if TYPE_CHECKING:
    import argparse

    import psycopg

GROUP = "isolation"
NAME = "check"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--declared", type=Path, help="compare with this list (db/access.txt)")


def run(given: argparse.Namespace) -> int:
    """Return 0 when tenants are apart, 1 when not."""
    with connected() as connection:
        faults = violations(connection, given.declared)
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
    for fault in faults:
        print(fault)
    if faults:
        print(f"{len(faults)} violations: tenants are not kept apart.")
        return 1
    print(f"No violation in {tables[0] if tables else 0} tables: tenants are kept apart.")
    return 0


def violations(connection: psycopg.Connection, declared: Path | None = None) -> list[str]:
    """Return what the rules name, and what is wider than ``declared`` or than the migrations."""
    faults = [
        str(row[0])
        for row in connection.execute(VIOLATIONS)
        if not _names(str(row[0]), connection.info.user)
    ]
    found = [str(row[0]) for row in connection.execute(FACTS)]
    lines = declared.read_text() if declared else _remembered(connection)
    if lines is None:
        return [*faults, "no access is declared: have the migrations run?"]
    return faults + differences(found=found, declared=lines.splitlines())


def _names(fault: str, asking: str) -> bool:
    return fault.startswith(f"login {asking} ") and not asking.startswith("svc_")


def _remembered(connection: psycopg.Connection) -> str | None:
    row = connection.execute(REMEMBERED).fetchone()
    return None if row is None or row[0] is None else str(row[0])
