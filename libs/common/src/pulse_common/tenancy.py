"""Database work that cannot forget its tenant, and roles that are taken for one transaction only.

A login can read nothing by itself: each transaction here begins by taking a role (``SET LOCAL``, so that a pooled
connection never carries it over) and, for tenant work, by naming the tenant that row-level security goes by.  Both are
set with bound parameters, in one round trip with BEGIN and the first statement (``pulse_common.lease``).
"""

from __future__ import annotations

import json
import warnings
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, LiteralString

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import set_json_dumps
from psycopg_pool import AsyncConnectionPool

from pulse_common import origin
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT, new_id
from pulse_common.lease import Lease

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from uuid import UUID

    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

Row = dict[str, Any]

ServiceRole = Literal[
    "pulse_authz",
    "pulse_ingest",
    "pulse_audit",
    "pulse_ca",
    "pulse_provision",
    "pulse_outbox",
    "pulse_sessions",
    "pulse_seal",
    "pulse_billing",
    "pulse_delivery",
    "pulse_notices",
]

_OPERATOR_AUDIT = """
    INSERT INTO audit_log (tenant_id, audit_id, actor_kind, actor_id, action, object_kind, object_id, outcome, reason,
                           address, user_agent, request_id, details)
    VALUES (%(tenant_id)s, %(audit_id)s, 'operator', %(actor)s, %(action)s, 'database', %(object_id)s, 'success',
            %(reason)s, %(address)s, %(user_agent)s, %(request_id)s, %(details)s::jsonb)
"""

# NaN and the infinities are not JSON; PostgreSQL would refuse them later and less clearly.
set_json_dumps(lambda value: json.dumps(value, allow_nan=False))


class UniqueViolation(Exception):  # noqa: N818 -- reads as an outcome
    """A row with this key exists; ``constraint`` names the rule."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class RowsRefused(Exception):  # noqa: N818
    """Copied rows are not what the table takes; none of them was."""


class ForeignKeyViolation(Exception):  # noqa: N818
    """The row refers to one that does not exist (or is another tenant's)."""


@dataclass(frozen=True, slots=True)
class Tx:
    """One open transaction under one role.  Queries are literals: the type checker refuses SQL made from data."""

    _lease: Lease

    async def one(self, query: LiteralString, values: Mapping[str, Any] | None = None) -> Row:
        row = await self.one_or_none(query, values)
        if row is None:
            raise LookupError("the statement returned no row")
        return row

    async def one_or_none(
        self, query: LiteralString, values: Mapping[str, Any] | None = None
    ) -> Row | None:
        return await (await self._run(query, values)).fetchone()

    async def all(
        self, query: LiteralString, values: Mapping[str, Any] | None = None
    ) -> Sequence[Row]:
        return await (await self._run(query, values)).fetchall()

    async def execute(self, query: LiteralString, values: Mapping[str, Any] | None = None) -> int:
        """Run a statement and return how many rows it touched."""
        return (await self._run(query, values)).rowcount

    async def attempt(self, query: LiteralString, values: Mapping[str, Any] | None = None) -> int:
        """Run a statement that ought to be refused and return how many rows it touched, none when it was.

        Nothing more can be said in a transaction in which one was refused.
        """
        try:
            return await self.execute(query, values)
        except psycopg.errors.InsufficientPrivilege:
            return 0

    async def copy_in(self, query: LiteralString, rows: bytes) -> None:
        """Run ``COPY ... FROM STDIN`` with rows in the format that ``query`` names.

        Raises:
            RowsRefused: one of them cannot be read.
        """
        try:
            await self._lease.copy_in(query, rows)
        except psycopg.DataError as error:
            raise RowsRefused(str(error)) from error

    async def _run(
        self, query: LiteralString, values: Mapping[str, Any] | None
    ) -> psycopg.AsyncCursor[DictRow]:
        try:
            return await self._lease.run(query, values)
        except psycopg.errors.UniqueViolation as error:
            raise UniqueViolation(error.diag.constraint_name or "") from error
        except psycopg.errors.ForeignKeyViolation as error:
            raise ForeignKeyViolation(error.diag.constraint_name or "") from error


@dataclass(frozen=True, slots=True)
class TenantTx(Tx):
    """A transaction that sees one tenant's rows."""

    tenant: TenantId


@dataclass(frozen=True, slots=True)
class OperatorAccess:
    """Who of the operators wants in, why, what for, and at which tenants (none: all); ``name`` is for people."""

    actor: str
    reason: str
    action: str
    purpose: str
    name: str
    tenants: Sequence[TenantId]


@dataclass(frozen=True, slots=True)
class OperatorTx(TenantTx):
    """A transaction of an operator; each tenant that it touches has a row in its audit log before the first answer.

    ``tenant`` is the one that it is for, else the platform.
    """

    asked: OperatorAccess

    async def touch(self, tenants: Iterable[TenantId]) -> None:
        """Record that these tenants' data is looked at: in the same transaction, before it leaves this process."""
        for tenant in tenants:
            await self._record(tenant, str(tenant), {})

    async def begin_record(self) -> None:
        """Record the access itself, for the platform and for each tenant that is known beforehand."""
        named = [str(tenant) for tenant in self.asked.tenants]
        await self._record(PLATFORM_TENANT, "cross-tenant", {"tenants": named or "all"})
        await self.touch(self.asked.tenants)

    async def _record(self, tenant: UUID, object_id: str, details: Mapping[str, object]) -> None:
        about = {"purpose": self.asked.purpose, "operator": self.asked.name}
        came = origin.current()
        await self.execute(
            _OPERATOR_AUDIT,
            {
                "tenant_id": tenant,
                "audit_id": new_id(),
                "actor": self.asked.actor,
                "action": self.asked.action,
                "object_id": object_id,
                "reason": self.asked.reason,
                "address": came.address,
                "user_agent": came.user_agent,
                "request_id": came.request_id,
                "details": json.dumps({**details, **about}),
            },
        )


class Database:
    """A pool of one login.  Open it before use; every method is a transaction that commits on a clean exit."""

    def __init__(self, url: str, *, name: str, max_connections: int = 10) -> None:
        self._pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=max_connections,
            open=False,
            timeout=5.0,
            kwargs={
                "row_factory": dict_row,
                "application_name": name,
                "connect_timeout": 5,
                "options": "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000",
            },
        )

    async def open(self) -> None:
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def tenant_connection(self, tenant_id: TenantId) -> AsyncIterator[TenantTx]:
        """Yield a transaction of ``pulse_app`` in which only ``tenant_id``'s rows exist.

        Raises:
            Unavailable: when no connection can be had within 5 s.
        """
        async with self._lease("pulse_app", str(tenant_id)) as lease:
            yield TenantTx(lease, tenant_id)

    @asynccontextmanager
    async def service_connection(self, role: ServiceRole) -> AsyncIterator[Tx]:
        """Yield a transaction under a service's own role, with no tenant named."""
        async with self._lease(role, "") as lease:
            yield Tx(lease)

    @asynccontextmanager
    async def service_tenant_connection(
        self, role: ServiceRole, tenant_id: TenantId
    ) -> AsyncIterator[TenantTx]:
        """Yield a transaction under a service's own role that writes as one tenant."""
        async with self._lease(role, str(tenant_id)) as lease:
            yield TenantTx(lease, tenant_id)

    @asynccontextmanager
    async def operator_read_connection(
        self,
        actor: str,
        reason: str,
        *,
        tenants: Sequence[TenantId] = (),
        purpose: str = "read",
        name: str = "",
    ) -> AsyncIterator[OperatorTx]:
        """Yield a transaction that reads the platform's view of every tenant (BYPASSRLS, narrow grants).

        Its audit rows are written in the same transaction before the first row is read: one for the platform, and one
        for each of ``tenants`` (``touch`` adds those that a search finds).
        """
        asked = OperatorAccess(actor, reason, "operator.read", purpose, name, tenants)
        async with self._operator("pulse_operator_read", asked) as tx:
            yield tx

    @asynccontextmanager
    async def operator_data_connection(
        self,
        actor: str,
        reason: str,
        *,
        tenants: Sequence[TenantId] = (),
        purpose: str = "read",
        name: str = "",
    ) -> AsyncIterator[OperatorTx]:
        """Yield a transaction that reads what tenants hold, as far as their grants and demands let ``actor``."""
        asked = OperatorAccess(actor, reason, "access.use", purpose, name, tenants)
        async with self._operator("pulse_operator_data", asked) as tx:
            yield tx

    @asynccontextmanager
    async def operator_write_connection(
        self,
        actor: str,
        reason: str,
        *,
        tenant: TenantId | None = None,
        purpose: str = "write",
        name: str = "",
    ) -> AsyncIterator[OperatorTx]:
        """Yield a transaction that changes what operators may change, audited likewise."""
        tenants = [tenant] if tenant else []
        asked = OperatorAccess(actor, reason, "operator.write", purpose, name, tenants)
        async with self._operator("pulse_operator_write", asked) as tx:
            yield tx

    @asynccontextmanager
    async def operator_connection(self, actor: str, reason: str) -> AsyncIterator[OperatorTx]:
        """Deprecated: say whether you read or write."""
        warnings.warn(
            "operator_connection() is deprecated; use operator_read_connection()",
            DeprecationWarning,
            stacklevel=3,
        )
        async with self.operator_read_connection(actor, reason) as tx:
            yield tx

    @asynccontextmanager
    async def catalogue_connection(self) -> AsyncIterator[Tx]:
        """Yield a transaction of the bare login, which can read the catalogue and no table."""
        async with self._lease("none", "") as lease:
            yield Tx(lease)

    @asynccontextmanager
    async def _operator(self, role: str, asked: OperatorAccess) -> AsyncIterator[OperatorTx]:
        if not asked.actor.strip() or not asked.reason.strip():
            raise ValueError("operator access needs an actor and a reason")
        home = asked.tenants[0] if len(asked.tenants) == 1 else TenantId(PLATFORM_TENANT)
        async with self._lease(role, str(home), asked.actor) as lease:
            tx = OperatorTx(lease, home, asked)
            await tx.begin_record()
            yield tx

    def _lease(self, role: str, tenant: str, operator: str = "") -> Lease:
        return Lease(self._pool, role=role, tenant=tenant, operator=operator)
