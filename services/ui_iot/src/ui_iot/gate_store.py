"""Every SQL statement about refusals and findings; all of them under the tenant's own role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx

MOST_OF_A_CHECK = 100
MOST_KEYS_READ = 500

_DENIALS = """
    SELECT at, action, reason, rule, topic, serial_number, address, times
      FROM broker_denials
     WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s
     ORDER BY at DESC, denial_id DESC
     LIMIT %(limit)s
"""
# Each row: the check, the device, and one value that the text names.
_FINDINGS = """
    WITH current AS MATERIALIZED (
        SELECT DISTINCT ON (c.device_id) c.device_id, d.name, c.public_key_sha256, c.not_after, c.created_at,
               c.status, c.revoked_at, c.session_cut_at, s.last_seen_at
          FROM certificates c
          JOIN devices d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id AND d.status = 'active'
          LEFT JOIN device_last_state s ON s.tenant_id = c.tenant_id AND s.device_id = c.device_id
         WHERE c.tenant_id = %(tenant_id)s
         ORDER BY c.device_id, (c.status = 'valid') DESC, c.not_after DESC)
    (SELECT 'shared_key' AS check_name, a.device_id, a.name, b.name AS value
       FROM current a
       JOIN current b ON b.public_key_sha256 = a.public_key_sha256 AND b.device_id <> a.device_id
      WHERE a.status = 'valid' AND b.status = 'valid'
      ORDER BY a.device_id LIMIT %(limit)s)
    UNION ALL
    (SELECT 'revoked_but_connected', device_id, name, ''
       FROM current
      WHERE status <> 'valid'
        AND (last_seen_at > coalesce(session_cut_at, revoked_at) + interval '10 seconds'
             OR (session_cut_at IS NULL AND revoked_at < %(now)s - interval '1 minute'))
      ORDER BY device_id LIMIT %(limit)s)
    UNION ALL
    (SELECT 'expired', device_id, name, to_char(not_after AT TIME ZONE 'UTC', 'YYYY-MM-DD')
       FROM current WHERE status = 'valid' AND not_after <= %(now)s
      ORDER BY not_after LIMIT %(limit)s)
    UNION ALL
    (SELECT 'expiring', device_id, name, to_char(not_after AT TIME ZONE 'UTC', 'YYYY-MM-DD')
       FROM current WHERE status = 'valid' AND not_after > %(now)s AND not_after <= %(now)s + interval '14 days'
      ORDER BY not_after LIMIT %(limit)s)
    UNION ALL
    (SELECT 'never_connected', device_id, name, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
       FROM current
      WHERE status = 'valid' AND last_seen_at IS NULL AND created_at < %(now)s - interval '1 day'
      ORDER BY created_at LIMIT %(limit)s)
    UNION ALL
    (SELECT 'conflicting_client_ids', d.device_id, d.name, sum(n.times)::text
       FROM broker_denials n
       JOIN devices d ON d.tenant_id = n.tenant_id AND d.device_id = n.device_id
      WHERE n.tenant_id = %(tenant_id)s AND n.at > %(now)s - interval '1 day'
        AND n.reason IN ('client_id_mismatch', 'username_mismatch', 'certificate_mismatch')
      GROUP BY d.device_id, d.name ORDER BY d.device_id LIMIT %(limit)s)
    UNION ALL
    (SELECT 'often_refused', d.device_id, d.name, sum(n.times)::text
       FROM broker_denials n
       JOIN devices d ON d.tenant_id = n.tenant_id AND d.device_id = n.device_id
      WHERE n.tenant_id = %(tenant_id)s AND n.at > %(now)s - interval '1 day'
      GROUP BY d.device_id, d.name HAVING sum(n.times) >= 100 ORDER BY sum(n.times) DESC LIMIT %(limit)s)
"""
_KEYS = """
    SELECT c.device_id, d.name, c.certificate_der
      FROM certificates c
      JOIN devices d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id
     WHERE c.tenant_id = %(tenant_id)s AND c.status = 'valid' AND c.not_after > %(now)s
     ORDER BY c.created_at DESC
     LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Denial:
    at: datetime
    action: str
    reason: str
    rule: str | None
    topic: str | None
    serial_number: str | None
    address: str | None
    times: int


@dataclass(frozen=True, slots=True)
class Found:
    """What one check found of one device; ``value`` is what its text names."""

    check: str
    device_id: UUID
    device_name: str
    value: str


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate that counts, and whose it is."""

    device_id: UUID
    device_name: str
    der: bytes


async def recent_denials(tx: TenantTx, device_id: UUID, limit: int) -> Sequence[Denial]:
    values = {"tenant_id": tx.tenant, "device_id": device_id, "limit": limit}
    return [Denial(**row) for row in await tx.all(_DENIALS, values)]


async def find_faults(tx: TenantTx, now: datetime) -> Sequence[Found]:
    values = {"tenant_id": tx.tenant, "now": now, "limit": MOST_OF_A_CHECK}
    rows = await tx.all(_FINDINGS, values)
    return [
        Found(row["check_name"], row["device_id"], row["name"], row["value"] or "") for row in rows
    ]


async def newest_certificates(tx: TenantTx, now: datetime) -> Sequence[Held]:
    values = {"tenant_id": tx.tenant, "now": now, "limit": MOST_KEYS_READ}
    rows = await tx.all(_KEYS, values)
    return [Held(row["device_id"], row["name"], bytes(row["certificate_der"])) for row in rows]
