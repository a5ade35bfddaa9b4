"""Apply what is pending to a copy of this database, and report rows, locks and how long each is held.

The database that PULSE_ADMIN_DATABASE_URL names is only copied (which needs CREATEDB, and nobody else connected: name a
restored backup, not the one that serves); the copy is dropped at the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pulse_admin.database import database_url
from pulse_admin.dry_run import copied, rehearse

if TYPE_CHECKING:
    import argparse

    from pulse_admin.dry_run import Report

GROUP = "migrations"
NAME = "dry-run"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", type=Path, default=Path("db"), help="where migrations/ is")
    parser.add_argument(
        "--longest-ms", type=int, default=1000, help="the longest that requests may be stopped"
    )


def run(given: argparse.Namespace) -> int:
    """Return 1 when a lock that stops requests is held for longer than asked for."""
    with copied(database_url()) as url:
        reports = rehearse(url, given.db)
    for report in reports:
        _print(report)
    if not reports:
        print("nothing to apply")
    locks = [lock for report in reports for lock in report.locks if lock.stops_requests]
    worst = max((lock.seconds for lock in locks), default=0.0)
    return int(worst * 1000 > given.longest_ms)


def _print(report: Report) -> None:
    print(f"{report.migration}: {report.seconds * 1000:.0f} ms")
    for lock in report.locks:
        note = "  stops requests" if lock.stops_requests else ""
        print(
            f"  {lock.table:<28} {lock.rows:>12} rows  {lock.mode:<26} {lock.seconds * 1000:>8.0f} ms{note}"
        )
    if not report.locks:
        print("  touches no table that was there before")
