"""The SQL of sessions at the broker: whose turn it is, what may stay, and what was cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from mqtt_authz import ways_in
from mqtt_authz.broker import Session
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx, Tx

# The gate's role reads every tenant, so the statements below name the tenant themselves.
_TAKE_TURN = """
    SELECT pg_try_advisory_xact_lock(hashtextextended('pulse.broker_session.' || %(device_id)s::uuid::text, 0)) AS taken
"""
_UNCUT_REVOCATION = """
    SELECT revoked_at
      FROM certificates
     WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s AND certificate_id = %(certificate_id)s
       AND status <> 'valid' AND (session_cut_at IS NULL OR session_cut_at < revoked_at)
"""
_UNCUT_DISABLING = """
    SELECT d.device_id
      FROM devices d
     WHERE d.tenant_id = %(tenant_id)s AND d.device_id = %(device_id)s AND d.status = 'disabled'
       AND NOT EXISTS (SELECT FROM certificates c
                        WHERE c.tenant_id = d.tenant_id AND c.device_id = d.device_id
                          AND c.session_cut_at >= %(disabled_at)s)
"""
_MAY_CONNECT: LiteralString = f"""
    SELECT d.device_id
      FROM devices d
      JOIN tenants t ON t.tenant_id = d.tenant_id
     WHERE d.tenant_id = %(tenant_id)s AND d.device_id = %(device_id)s AND d.status = 'active' AND t.status = 'active'
       AND ({ways_in.SOME_WAY})
"""  # noqa: S608 -- constants of ours
_CONFIRM_CERTIFICATE = """
    UPDATE certificates SET session_cut_at = %(now)s
     WHERE tenant_id = %(tenant_id)s AND certificate_id = %(certificate_id)s
"""
_CONFIRM_DEVICE = """
    UPDATE certificates SET session_cut_at = %(now)s
     WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s AND status = 'valid'
"""
# A plan is not among the reasons: who is connected stays.
_UNWELCOME: LiteralString = f"""
    SELECT d.tenant_id, w.device_id, w.serial_number, t.status = 'active' AS tenant_active
      FROM unnest(%(devices)s::uuid[], %(serials)s::text[]) AS w (device_id, serial_number)
      JOIN devices d ON d.device_id = w.device_id
      JOIN tenants t ON t.tenant_id = d.tenant_id
     WHERE d.status <> 'active' OR t.status <> 'active'
        OR NOT ({ways_in.THE_SAME_WAY})
"""  # noqa: S608 -- constants of ours
_WELCOME: LiteralString = f"""
    SELECT d.tenant_id, d.device_id
      FROM devices d
      JOIN tenants t ON t.tenant_id = d.tenant_id
     WHERE d.device_id = ANY(%(devices)s) AND d.status = 'active' AND t.status = 'active'
       AND ({ways_in.SOME_WAY})
"""  # noqa: S608 -- constants of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwelcome:
    """A session that may not be; ``tenant_active`` is false when the tenant's suspension is reason enough."""

    tenant: TenantId
    session: Session
    tenant_active: bool


async def take_turn(tx: TenantTx, device_id: UUID) -> bool:
    """Hold the device's session alone until the transaction ends; False when another replica holds it."""
    return bool((await tx.one(_TAKE_TURN, {"device_id": device_id}))["taken"])


async def find_uncut_revocation(
    tx: TenantTx, device_id: UUID, certificate_id: UUID
) -> datetime | None:
    """Say when the certificate was revoked, unless the cut for it has been confirmed."""
    row = await tx.one_or_none(
        _UNCUT_REVOCATION,
        {"tenant_id": tx.tenant, "device_id": device_id, "certificate_id": certificate_id},
    )
    revoked_at: datetime | None = row["revoked_at"] if row else None
    return revoked_at


async def is_uncut_disabling(tx: TenantTx, device_id: UUID, disabled_at: datetime) -> bool:
    """Whether the device is disabled still, and no cut since then has been confirmed."""
    row = await tx.one_or_none(
        _UNCUT_DISABLING,
        {"tenant_id": tx.tenant, "device_id": device_id, "disabled_at": disabled_at},
    )
    return row is not None


async def may_connect(tx: TenantTx, device_id: UUID, now: datetime) -> bool:
    """Whether the device has a certificate or a token that the gate would let in now."""
    values = {"tenant_id": tx.tenant, "device_id": device_id, "now": now}
    return await tx.one_or_none(_MAY_CONNECT, values) is not None


async def find_unwelcome(tx: Tx, sessions: Sequence[Session], now: datetime) -> list[Unwelcome]:
    """Return the sessions whose certificate, issuer, device or tenant does not count now."""
    values = {
        "devices": [session.device for session in sessions],
        "serials": [session.serial_number for session in sessions],
        "now": now,
    }
    return [
        Unwelcome(
            tenant=TenantId(row["tenant_id"]),
            session=Session(row["device_id"], row["serial_number"]),
            tenant_active=row["tenant_active"],
        )
        for row in await tx.all(_UNWELCOME, values)
    ]


async def find_welcome(
    tx: Tx, devices: Sequence[UUID], now: datetime
) -> list[tuple[TenantId, UUID]]:
    """Return those devices that may connect now."""
    rows = await tx.all(_WELCOME, {"devices": list(devices), "now": now})
    return [(TenantId(row["tenant_id"]), row["device_id"]) for row in rows]


async def confirm_certificate(tx: TenantTx, certificate_id: UUID, now: datetime) -> None:
    values = {"tenant_id": tx.tenant, "certificate_id": certificate_id, "now": now}
    await tx.execute(_CONFIRM_CERTIFICATE, values)


async def confirm_device(tx: TenantTx, device_id: UUID, now: datetime) -> None:
    values = {"tenant_id": tx.tenant, "device_id": device_id, "now": now}
    await tx.execute(_CONFIRM_DEVICE, values)
