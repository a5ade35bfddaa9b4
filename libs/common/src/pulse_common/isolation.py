"""Refuse to start, and to be ready, when the catalogue does not keep tenants apart.

Row-level security is inert for a superuser, for BYPASSRLS, and for an owner without FORCE; one table without a policy
is open.  So every service asks the catalogue, as its own login, before it serves and for as long as it does:
``isolation_rules`` names what is wrong in itself, ``declared_access`` what is wider than the migrations made it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from pulse_common import metrics
from pulse_common.declared_access import FACTS, REMEMBERED, differences
from pulse_common.errors import Unavailable
from pulse_common.isolation_rules import VIOLATIONS

if TYPE_CHECKING:
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

WATCH_SECONDS = 30.0


class IsolationError(Exception):
    """The database would not keep tenants apart; the message names every violation."""


async def violations(database: Database) -> list[str]:
    """Return every way in which the catalogue falls short, empty when there is none.

    Raises:
        Unavailable: the database cannot be asked.
    """
    async with database.catalogue_connection() as tx:
        faults = [str(row["fault"]) for row in await tx.all(VIOLATIONS)]
        found = [str(row["line"]) for row in await tx.all(FACTS)]
        remembered = (await tx.one(REMEMBERED))["facts"]
    if remembered is None:
        return [*faults, "no access is declared: have the migrations run?"]
    return faults + differences(found=found, declared=str(remembered).splitlines())


async def require(database: Database) -> None:
    """Raise unless the catalogue is sound.

    Raises:
        IsolationError: naming every violation.
        Unavailable: the database cannot be asked.
    """
    found = await violations(database)
    metrics.ISOLATION_VIOLATIONS.set(len(found))
    if found:
        raise IsolationError("; ".join(found))
    log.info("isolation_checked")


class Watch:
    """Asks again every half minute, whoever probes and however often; readiness tells what was found last.

    The catalogue costs about 10 ms to read, so a prober must not be able to choose how often that is.  Each readiness
    probe still takes a connection, so that a database that is away shows at once.
    """

    def __init__(self, database: Database, *, every_seconds: float = WATCH_SECONDS) -> None:
        self._database = database
        self._every_seconds = every_seconds
        self._found: str | None = None

    async def check(self) -> None:
        """Pass when the database answers and its catalogue was sound when it was last read.

        Raises:
            IsolationError, Unavailable: as ``require``.
        """
        if self._found is not None:
            raise IsolationError(self._found)
        async with self._database.catalogue_connection() as tx:
            await tx.one("SELECT 1 AS alive")

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every_seconds)
            await self.look()

    async def look(self) -> None:
        """Read the catalogue once; a violation is logged each time that it is seen."""
        try:
            await require(self._database)
        except IsolationError as error:
            self._found = str(error)
            log.error("isolation_broken", violations=self._found)  # noqa: TRY400 -- the finding, not a bug
        except Unavailable:
            # The last finding stands: a restart of the database repairs no policy.
            log.warning("isolation_not_checked")
        else:
            self._found = None
