"""The SQL conditions that several statements share: by what a device may come, and whether its plan includes it.

Each speaks of the device ``d``; the first two ask for ``now``.
"""

from __future__ import annotations

from typing import LiteralString

#: A tenant opts in for one device or for all of a profile: either switch is enough.
TOKENS_ALLOWED: LiteralString = """(d.tokens_allowed OR EXISTS (
        SELECT FROM device_profiles p
         WHERE p.tenant_id = d.tenant_id AND p.profile_id = d.profile_id AND p.tokens_allowed))"""

_CERTIFICATE: LiteralString = """EXISTS (
        SELECT FROM certificates c
          JOIN issuers i ON i.issuer_id = c.issuer_id
         WHERE c.tenant_id = d.tenant_id AND c.device_id = d.device_id
           AND c.status = 'valid' AND c.not_after > %(now)s AND i.status NOT IN ('retired', 'revoked')"""
_TOKEN: LiteralString = (
    TOKENS_ALLOWED
    + """ AND EXISTS (
        SELECT FROM device_tokens k
         WHERE k.tenant_id = d.tenant_id AND k.device_id = d.device_id
           AND k.revoked_at IS NULL AND k.expires_at > %(now)s"""
)
#: With a certificate or a token that counts.
SOME_WAY: LiteralString = f"{_CERTIFICATE}) OR {_TOKEN})"
#: With the very certificate or token that the session ``w`` came with; any, when its serial is not known.
THE_SAME_WAY: LiteralString = (
    f"{_CERTIFICATE} AND w.serial_number IN ('', c.serial_number))"
    f" OR {_TOKEN} AND w.serial_number IN ('', k.token_id::text))"
)

#: A plan that became smaller includes the oldest devices, and turns the others away only when it has held for three
#: days: a mistake of billing is found before anybody stays out.  No row is no limit.
PLAN: LiteralString = """
      LEFT JOIN billing_entitlements e
        ON e.tenant_id = d.tenant_id AND e.applied_at <= now() - interval '72 hours'
      LEFT JOIN LATERAL (SELECT o.created_at, o.device_id
                           FROM devices o
                          WHERE o.tenant_id = e.tenant_id AND o.status = 'active'
                          ORDER BY o.created_at, o.device_id
                         OFFSET e.devices LIMIT 1) AS beyond
        ON e.devices IS NOT NULL
"""
IN_PLAN: LiteralString = """
           (beyond.device_id IS NULL OR (d.created_at, d.device_id) < (beyond.created_at, beyond.device_id)) AS in_plan
"""
