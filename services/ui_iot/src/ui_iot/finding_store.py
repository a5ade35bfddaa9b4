"""The SQL of what is wrong in a fleet: one statement, under the tenant's own role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx

MOST_OF_A_CHECK = 100

# Each row: the check, the device, and one value that the text names.
_FINDINGS = """
    WITH current AS MATERIALIZED (
        SELECT DISTINCT ON (c.device_id) c.device_id, d.name, c.public_key_sha256, c.not_after, c.created_at,
               c.status, c.revoked_at, c.session_cut_at, c.key_fault, s.last_seen_at
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
    (SELECT 'revoked_but_connected', d.device_id, d.name, ''
       FROM device_tokens k
       JOIN devices d ON d.tenant_id = k.tenant_id AND d.device_id = k.device_id AND d.status = 'active'
      WHERE k.tenant_id = %(tenant_id)s AND k.revoked_at < %(now)s - interval '1 minute'
        AND (k.session_cut_at IS NULL OR k.session_cut_at < k.revoked_at)
      ORDER BY d.device_id LIMIT %(limit)s)
    UNION ALL
    (SELECT 'in_two_places', d.device_id, d.name, m.places
       FROM (SELECT n.device_id,
                    string_agg(CASE WHEN n.address = n.other_address THEN n.address
                                    ELSE n.address || ' and ' || n.other_address END,
                               '; ' ORDER BY n.last_at DESC) AS places
               FROM session_conflicts n
              WHERE n.tenant_id = %(tenant_id)s AND n.last_at > %(now)s - interval '7 days'
                AND (n.times >= 3 OR n.address <> n.other_address)
                -- What is revoked is dealt with.
                AND (EXISTS (SELECT FROM certificates c
                              WHERE c.tenant_id = n.tenant_id AND c.device_id = n.device_id
                                AND c.serial_number = n.serial_number AND c.status = 'valid')
                     OR EXISTS (SELECT FROM device_tokens k
                                 WHERE k.tenant_id = n.tenant_id AND k.device_id = n.device_id
                                   AND k.token_id::text = n.serial_number AND k.revoked_at IS NULL))
              GROUP BY n.device_id) AS m
       JOIN devices d ON d.tenant_id = %(tenant_id)s AND d.device_id = m.device_id AND d.status = 'active'
      ORDER BY d.device_id LIMIT %(limit)s)
    UNION ALL
    (SELECT 'weak_key', device_id, name, key_fault
       FROM current WHERE status = 'valid' AND not_after > %(now)s AND key_fault IS NOT NULL
      ORDER BY device_id LIMIT %(limit)s)
    UNION ALL
    (SELECT 'two_ways_in', c.device_id, c.name, count(*)::text
       FROM current c
       JOIN device_tokens k ON k.tenant_id = %(tenant_id)s AND k.device_id = c.device_id
                           AND k.revoked_at IS NULL AND k.expires_at > %(now)s
      WHERE c.status = 'valid' AND c.not_after > %(now)s
      GROUP BY c.device_id, c.name ORDER BY c.device_id LIMIT %(limit)s)
    UNION ALL
    (SELECT 'unused_permission', d.device_id, d.name, ''
       FROM devices d
      WHERE d.tenant_id = %(tenant_id)s AND d.status = 'active' AND d.tokens_allowed
        AND NOT EXISTS (SELECT FROM device_tokens k
                         WHERE k.tenant_id = d.tenant_id AND k.device_id = d.device_id
                           AND k.revoked_at IS NULL AND k.expires_at > %(now)s)
      ORDER BY d.device_id LIMIT %(limit)s)
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
_UNCHECKED = """
    SELECT count(*) AS keys
      FROM certificates
     WHERE tenant_id = %(tenant_id)s AND status <> 'revoked' AND key_checked_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What one check found of one device; ``value`` is what its text names."""

    check: str
    device_id: UUID
    device_name: str
    value: str


async def find_faults(tx: TenantTx, now: datetime) -> Sequence[Found]:
    values = {"tenant_id": tx.tenant, "now": now, "limit": MOST_OF_A_CHECK}
    rows = await tx.all(_FINDINGS, values)
    return [
        Found(row["check_name"], row["device_id"], row["name"], row["value"] or "") for row in rows
    ]


async def count_unchecked_keys(tx: TenantTx) -> int:
    """Count the certificates whose keys the CA has not looked at yet."""
    return int((await tx.one(_UNCHECKED, {"tenant_id": tx.tenant}))["keys"])
