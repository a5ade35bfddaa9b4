"""A tenant, its administrator and its devices, for tests of what ui_iot asks in a person's name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from provision_api.administrators import Administrators
from pulse_common.auth_audit import AuthAudit
from pulse_common.identity import Principal, TenantId
from pulse_common.ids import new_id
from pulse_common.testing.fakes import FakeVerifier

if TYPE_CHECKING:
    import psycopg

    from pulse_common.tenancy import Database

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class People:
    db: Database
    superuser: psycopg.Connection
    known: dict[str, Principal]
    now: datetime = NOW

    def clock(self) -> datetime:
        return self.now

    def pass_time(self, **spans: float) -> None:
        self.now += timedelta(**spans)

    @property
    def administrators(self) -> Administrators:
        refused = AuthAudit(self.db, address_of=lambda _: None).refused_call
        return Administrators(FakeVerifier(self.known), refused)

    def tenant(self, *, devices: int | None = None, access: str = "full") -> UUID:
        tenant = uuid4()
        self.superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'T')", [tenant])
        self.superuser.execute(
            "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, devices, hard_limits, features,"
            " cause, applied_at) VALUES (%s, 1, 'free', %s, %s, true, '{}', 'test', now())",
            [tenant, access, devices],
        )
        return tenant

    def person(self, tenant: UUID, role: str = "tenant-admin") -> str:
        """Return the access token of somebody of ``tenant``."""
        token = f"token-{uuid4()}"
        self.known[token] = Principal(
            subject="alice", tenant=TenantId(tenant), roles=frozenset({role})
        )
        return token

    def device(self, tenant: UUID, name: str = "Lamp") -> UUID:
        device = new_id()
        self.superuser.execute(
            "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, %s)",
            [tenant, device, name],
        )
        return device

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.superuser.execute(query, list(values)).fetchall()

    def count(self, table: str, tenant: UUID) -> int:
        [(found,)] = self.rows(f"SELECT count(*) FROM {table} WHERE tenant_id = %s", tenant)  # noqa: S608 -- our own words
        return int(found)

    def acts(self, tenant: UUID) -> list[str]:
        query = "SELECT action FROM audit_log WHERE tenant_id = %s ORDER BY at, audit_id"
        return [str(row[0]) for row in self.rows(query, tenant)]

    def told(self, tenant: UUID, subject: str) -> list[dict[str, Any]]:
        query = "SELECT payload::text FROM outbox WHERE tenant_id = %s AND subject = %s ORDER BY position"
        return [json.loads(row[0]) for row in self.rows(query, tenant, subject)]
