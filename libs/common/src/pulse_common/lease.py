"""One transaction on one pooled connection: BEGIN, role and tenant travel with its first statement, in one round trip.

So a transaction of one statement costs two trips, where a plain one costs three; what naming the tenant takes is won
back by what is not waited for (benchmarks/tenant_transaction.py).  Nothing reaches the server without them: the server
runs a pipeline in order and skips the rest of it when setting the role fails, and a statement that went out alone
would be the bare login's, which may read no table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString, Self

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from psycopg import AsyncConnection, AsyncCursor
    from psycopg.rows import DictRow
    from psycopg_pool import AsyncConnectionPool

_ATTEMPTS = 3
_BEGIN: LiteralString = "SELECT set_config('role', %s, true), set_config('app.tenant_id', %s, true)"
_BEGIN_OPERATOR: LiteralString = f"{_BEGIN}, set_config('app.operator', %s, true)"


class Lease:
    """Commits on a clean exit, rolls back on any other; a transaction without a statement never begins.

    By hand, since a stack of context managers costs a fifth of a short transaction.
    """

    __slots__ = ("_begin", "_begun", "_conn", "_held", "_pool", "_who")

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[DictRow]],
        *,
        role: str,
        tenant: str,
        operator: str = "",
    ) -> None:
        self._pool = pool
        self._begin = _BEGIN_OPERATOR if operator else _BEGIN
        self._who = [role, tenant, operator] if operator else [role, tenant]
        self._begun = False
        self._held: AbstractAsyncContextManager[AsyncConnection[DictRow]] | None = None

    async def __aenter__(self) -> Self:
        """Take a connection.

        Raises:
            Unavailable: none can be had within 5 s.
        """
        await self._take()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._held is None:
            return
        away = await self._away(error)
        try:
            await self._held.__aexit__(kind, error, trace)
        except psycopg.OperationalError as lost:
            # Whether it was committed is not known: callers repeat what is safe to repeat.
            raise Unavailable("the database is away") from lost
        if away is not None:
            raise away from error

    async def run(
        self, query: LiteralString, values: Mapping[str, Any] | None
    ) -> AsyncCursor[DictRow]:
        """Run a statement in the transaction, which the first one begins.

        Raises:
            Unavailable: no living connection can be had.
        """
        if self._begun:
            return await self._conn.execute(query, values)
        return await self._first(query, values)

    async def copy_in(self, query: LiteralString, rows: bytes) -> None:
        """Run ``COPY ... FROM STDIN``; it cannot go out in a pipeline, so an empty statement begins for it."""
        if not self._begun:
            await self._first("SELECT", None)
        async with self._conn.cursor().copy(query) as copy:
            await copy.write(rows)

    async def _first(
        self, query: LiteralString, values: Mapping[str, Any] | None
    ) -> AsyncCursor[DictRow]:
        """A restarted server leaves dead connections in the pool: weed them out and try again.

        What a dead connection was told was not committed, so it may be told to another.
        """
        for _ in range(_ATTEMPTS):
            try:
                # psycopg sends BEGIN before the first of these.  conn.transaction() would keep the whole
                # transaction in pipeline mode, where row counts and errors come late.
                async with self._conn.pipeline():
                    self._begun = True
                    await self._conn.execute(self._begin, self._who)
                    cursor = await self._conn.execute(query, values)
            except psycopg.OperationalError as error:
                if not (self._conn.broken or self._conn.closed):
                    raise
                await self._replace(error)
            else:
                return cursor
        raise Unavailable("the database is away")

    async def _replace(self, error: psycopg.OperationalError) -> None:
        """Give the dead connection back and take another."""
        held, self._held = self._held, None
        self._begun = False
        if held is not None:
            await held.__aexit__(type(error), error, error.__traceback__)
        await self._pool.check()
        await self._take()

    async def _take(self) -> None:
        held = self._pool.connection()
        try:
            self._conn: AsyncConnection[DictRow] = await held.__aenter__()
        except (PoolTimeout, PoolClosed) as error:
            raise Unavailable("the database is away") from error
        self._held = held

    async def _away(self, error: BaseException | None) -> Unavailable | None:
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            # Demoted under us: it still answers SELECT 1, so never hand it out again.
            await self._conn.close()
            return Unavailable("the database is switching over")
        if isinstance(error, psycopg.OperationalError) and (self._conn.broken or self._conn.closed):
            return Unavailable("the database is away")
        if isinstance(error, psycopg.errors.CheckViolation) and error.diag.constraint_name is None:
            # Only a partition's bounds have no name: the row was on its way to the default one as its own was made.
            return Unavailable("a partition is being made")
        return None
