"""Every SQL statement of this service."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ui_iot.domain import Certificate, Device

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.events import MetricValue
    from pulse_common.tenancy import TenantTx, Tx

SESSION = """
    SELECT session_hash, subject, oidc_session_id, tokens_sealed, csrf_secret, access_expires_at, last_used_at,
           expires_at
      FROM web_sessions
     WHERE session_hash = %(session_hash)s
"""
# A device with its last readings and its newest certificate.
DEVICES = """
    SELECT d.device_id, d.name, d.created_at, s.last_seen_at, s.metrics,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    session_hash: bytes
    subject: str
    oidc_session_id: str | None
    tokens_sealed: bytes
    csrf_secret: bytes
    access_expires_at: datetime
    last_used_at: datetime
    expires_at: datetime

    def with_tokens(self, sealed: bytes, access_expires_at: datetime) -> SessionRow:
        return dataclasses.replace(self, tokens_sealed=sealed, access_expires_at=access_expires_at)


async def create_session(tx: Tx, row: SessionRow) -> None:
    await tx.execute(
        """
        INSERT INTO web_sessions (session_hash, subject, oidc_session_id, tokens_sealed, csrf_secret,
                                  access_expires_at, last_used_at, expires_at)
        VALUES (%(session_hash)s, %(subject)s, %(oidc_session_id)s, %(tokens_sealed)s, %(csrf_secret)s,
                %(access_expires_at)s, %(last_used_at)s, %(expires_at)s)
        """,
        dataclasses.asdict(row),
    )


async def find_session(tx: Tx, session_hash: bytes) -> SessionRow | None:
    row = await tx.one_or_none(
        SESSION,
        {"session_hash": session_hash},
    )
    return None if row is None else SessionRow(**row)


async def lock_session(tx: Tx, session_hash: bytes) -> SessionRow | None:
    """Find a session and keep other refreshers waiting until this transaction ends."""
    row = await tx.one_or_none(
        SESSION + " FOR UPDATE",
        {"session_hash": session_hash},
    )
    return None if row is None else SessionRow(**row)


async def replace_tokens(
    tx: Tx, session_hash: bytes, sealed: bytes, access_expires_at: datetime
) -> None:
    await tx.execute(
        """
        UPDATE web_sessions
           SET tokens_sealed = %(sealed)s, access_expires_at = %(access_expires_at)s
         WHERE session_hash = %(session_hash)s
        """,
        {
            "session_hash": session_hash,
            "sealed": sealed,
            "access_expires_at": access_expires_at,
        },
    )


async def touch_session(tx: Tx, session_hash: bytes, now: datetime) -> None:
    await tx.execute(
        "UPDATE web_sessions SET last_used_at = %(now)s WHERE session_hash = %(session_hash)s",
        {"session_hash": session_hash, "now": now},
    )


async def delete_session(tx: Tx, session_hash: bytes) -> None:
    await tx.execute(
        "DELETE FROM web_sessions WHERE session_hash = %(session_hash)s",
        {"session_hash": session_hash},
    )


async def delete_ended_sessions(tx: Tx, now: datetime, idle_since: datetime) -> int:
    return await tx.execute(
        "DELETE FROM web_sessions WHERE expires_at <= %(now)s OR last_used_at < %(idle_since)s",
        {"now": now, "idle_since": idle_since},
    )


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
        certificate=certificate,
    )
