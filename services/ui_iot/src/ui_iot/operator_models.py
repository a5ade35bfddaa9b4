"""What the operators' API takes and answers; the console's pages show the same values."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from pulse_common.events import MetricValue
from ui_iot.access_models import Grant, Shown
from ui_iot.api_models import Body, Query
from ui_iot.audit_models import AuditEvent, AuditPageQuery, AuditQuery

SHORTEST_GRACE_DAYS, LONGEST_GRACE_DAYS = 1, 90


class Tenant(Shown):
    id: UUID
    name: str
    status: str
    status_reason: str | None
    status_changed_at: datetime | None
    exported_at: datetime | None
    purge_after: datetime | None
    created_at: datetime
    devices: int
    valid_certificates: int
    expiring_certificates: int


class TenantsAnswer(Shown):
    tenants: list[Tenant]


class TenantAnswer(Shown):
    tenant: Tenant
    grants: list[Grant]


class FoundDevice(Shown):
    tenant_id: UUID
    tenant_name: str
    id: UUID
    name: str
    status: str
    created_at: datetime


class DevicesFound(Shown):
    devices: list[FoundDevice]


class DeviceState(Shown):
    device_id: UUID
    device_name: str | None
    last_seen_at: datetime
    metrics: dict[str, MetricValue]


class StatesAnswer(Shown):
    states: list[DeviceState]


class Issuer(Shown):
    id: UUID
    kind: str
    subject: str
    status: str
    not_after: datetime
    valid: int
    revoked: int
    expiring: int


class Queue(Shown):
    """Events of one service that wait to be published."""

    producer: str
    waiting: int
    oldest_at: datetime | None


class ExpiryWarning(Shown):
    """Told when it had ``days`` left; 0: when half of a short life was over."""

    kind: Literal["issuer", "list", "server"]
    name: str | None
    not_after: datetime
    days: int
    warned_at: datetime


class HealthAnswer(Shown):
    issuers: list[Issuer]
    warnings: list[ExpiryWarning]
    """Of what has not ended yet, renewed or not; the soonest first."""
    uncut: int
    """Revoked certificates whose sessions the broker has not confirmed cut."""
    lists: list[dict[str, Any]]
    queues: list[Queue]


class AuditLine(AuditEvent):
    tenant_id: UUID


class AuditAnswer(Shown):
    lines: list[AuditLine] = Field(description="Newest first.")
    next_after: str | None = Field(description="The cursor of the next page; null on the last.")


class DoneAnswer(Shown):
    id: UUID


class DevicesSearch(Query):
    text: Annotated[str, Field(min_length=2, max_length=100)]


class AuditSearch(AuditPageQuery):
    tenant_id: UUID | None = Field(
        default=None, description="All tenants if absent; the platform's own log is the nil UUID."
    )


class AuditExport(AuditQuery):
    tenant_id: UUID | None = None
    format: Literal["csv", "jsonl", "ocsf"] = "jsonl"


class CreateTenantBody(Body):
    name: Annotated[str, Field(min_length=1, max_length=100)]


class DeleteTenantBody(Body):
    """``name`` is the tenant's, typed once more."""

    name: str
    grace_days: Annotated[int, Field(ge=SHORTEST_GRACE_DAYS, le=LONGEST_GRACE_DAYS)] = 30
