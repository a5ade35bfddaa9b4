"""Every SQL statement about devices and tenants; those about sessions are in ``session_store``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ui_iot.domain import Certificate, Device

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.events import MetricValue
    from pulse_common.tenancy import TenantTx

# A device with its last readings and its newest certificate.
DEVICES = """
    SELECT d.device_id, d.name, d.created_at, d.version, s.last_seen_at, s.metrics,
           c.serial_number, c.not_before, c.not_after, c.revoked_at, c.revocation_reason, c.session_cut_at
      FROM devices d
      LEFT JOIN device_last_state s ON s.tenant_id = d.tenant_id AND s.device_id = d.device_id
      LEFT JOIN LATERAL (
           SELECT serial_number, not_before, not_after, revoked_at, revocation_reason, session_cut_at
             FROM certificates
            WHERE tenant_id = d.tenant_id AND device_id = d.device_id
            ORDER BY created_at DESC
            LIMIT 1) c ON true
"""


async def find_tenant_name(tx: TenantTx) -> str | None:
    row = await tx.one_or_none("SELECT name FROM tenants WHERE status = 'active'")
    return None if row is None else str(row["name"])


async def list_devices(tx: TenantTx, *, before: UUID | None, limit: int) -> list[Device]:
    """Return devices, newest first (their ids are in order of time), from below ``before``."""
    rows = await tx.all(
        DEVICES
        + """
         WHERE %(before)s::uuid IS NULL OR d.device_id < %(before)s::uuid
         ORDER BY d.device_id DESC
         LIMIT %(limit)s
        """,
        {"before": before, "limit": limit},
    )
    return [_device(row) for row in rows]


async def find_device(tx: TenantTx, device_id: UUID) -> Device | None:
    row = await tx.one_or_none(
        DEVICES
        + """
         WHERE d.device_id = %(device_id)s
        """,
        {"device_id": device_id},
    )
    return None if row is None else _device(row)


@dataclass(frozen=True, slots=True)
class Point:
    ts: datetime
    metrics: dict[str, MetricValue]


async def recent_points(tx: TenantTx, device_id: UUID, since: datetime, limit: int) -> list[Point]:
    """Return the newest ``limit`` readings since a moment, oldest first."""
    rows = await tx.all(
        """
        SELECT ts, metrics
          FROM (SELECT ts, metrics
                  FROM telemetry
                 WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s AND ts >= %(since)s
                 ORDER BY ts DESC
                 LIMIT %(limit)s) newest
         ORDER BY ts
        """,
        {"tenant_id": tx.tenant, "device_id": device_id, "since": since, "limit": limit},
    )
    return [Point(row["ts"], row["metrics"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Act:
    """One line of a device's history."""

    at: datetime
    action: str
    outcome: str
    actor_kind: str
    actor_id: str


async def recent_acts(tx: TenantTx, device_id: UUID, limit: int) -> Sequence[Act]:
    rows = await tx.all(
        """
        SELECT at, action, outcome, actor_kind, actor_id
          FROM audit_log
         WHERE object_id = %(device_id)s OR details ->> 'device_id' = %(device_id)s
         ORDER BY at DESC, audit_id DESC
         LIMIT %(limit)s
        """,
        {"device_id": str(device_id), "limit": limit},
    )
    return [Act(**row) for row in rows]


def _device(row: dict[str, Any]) -> Device:
    certificate = None
    if row["serial_number"] is not None:
        certificate = Certificate(
            serial_number=row["serial_number"],
            issued_at=row["not_before"],
            expires_at=row["not_after"],
            revoked_at=row["revoked_at"],
            revocation_reason=row["revocation_reason"],
            session_cut_at=row["session_cut_at"],
        )
    return Device(
        id=row["device_id"],
        name=row["name"],
        created_at=row["created_at"],
        last_seen_at=row["last_seen_at"],
        latest=row["metrics"] or {},
        version=row["version"],
        certificate=certificate,
    )
