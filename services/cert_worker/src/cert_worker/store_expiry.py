"""Every SQL statement about what expires soon and who was warned of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cert_worker.domain import CRL_LIFETIME
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import Row, TenantTx, Tx

CHUNK = 500
# The narrowest threshold that a certificate has come under is the one to warn of: what is met late, after a standstill
# say, is told of once and not four times.
_TENANTS = """
    SELECT DISTINCT c.tenant_id
      FROM certificates c
      JOIN devices d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id
      CROSS JOIN LATERAL (SELECT min(t) AS days FROM unnest(%(thresholds)s::smallint[]) AS t
                           WHERE c.not_after <= %(now)s + make_interval(days => t)) AS b
     WHERE c.status = 'valid' AND d.status = 'active' AND c.not_after > %(now)s AND c.not_after <= %(until)s
       AND NOT EXISTS (SELECT FROM certificates n
                        WHERE n.tenant_id = c.tenant_id AND n.device_id = c.device_id AND n.status = 'valid'
                          AND n.not_after > c.not_after)
       AND NOT EXISTS (SELECT FROM expiry_warnings w
                        WHERE w.tenant_id = c.tenant_id AND w.kind = 'device' AND w.subject_id = c.certificate_id
                          AND w.days = b.days)
"""
_WARN_DEVICES = """
    WITH warned AS (
        INSERT INTO expiry_warnings (tenant_id, kind, subject_id, days, not_after, warned_at)
        SELECT c.tenant_id, 'device', c.certificate_id, b.days, c.not_after, %(now)s
          FROM certificates c
          JOIN devices d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id
          CROSS JOIN LATERAL (SELECT min(t) AS days FROM unnest(%(thresholds)s::smallint[]) AS t
                               WHERE c.not_after <= %(now)s + make_interval(days => t)) AS b
         WHERE c.tenant_id = %(tenant_id)s
           AND c.status = 'valid' AND d.status = 'active' AND c.not_after > %(now)s AND c.not_after <= %(until)s
           AND NOT EXISTS (SELECT FROM certificates n
                            WHERE n.tenant_id = c.tenant_id AND n.device_id = c.device_id AND n.status = 'valid'
                              AND n.not_after > c.not_after)
           AND NOT EXISTS (SELECT FROM expiry_warnings w
                            WHERE w.tenant_id = c.tenant_id AND w.kind = 'device'
                              AND w.subject_id = c.certificate_id AND w.days = b.days)
         ORDER BY c.certificate_id
         LIMIT %(limit)s
        ON CONFLICT DO NOTHING
        RETURNING subject_id, days)
    SELECT c.certificate_id, c.device_id, c.serial_number, c.not_after, w.days, d.name
      FROM warned w
      JOIN certificates c ON c.tenant_id = %(tenant_id)s AND c.certificate_id = w.subject_id
      JOIN devices d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id
     ORDER BY c.not_after, c.certificate_id
"""
_WARN_ISSUERS = """
    WITH warned AS (
    INSERT INTO expiry_warnings (tenant_id, kind, subject_id, days, not_after, warned_at, subject_name)
    SELECT %(tenant_id)s, 'issuer', i.issuer_id, b.days, i.not_after, %(now)s, left(i.subject, 300)
      FROM issuers i
      CROSS JOIN LATERAL (SELECT min(t) AS days FROM unnest(%(thresholds)s::smallint[]) AS t
                           WHERE i.not_after <= %(now)s + make_interval(days => t)) AS b
     WHERE i.status NOT IN ('retired', 'revoked') AND i.not_after > %(now)s AND i.not_after <= %(until)s
    ON CONFLICT DO NOTHING
    RETURNING subject_id, days, not_after)
    SELECT w.subject_id, w.days, w.not_after, i.subject
      FROM warned w
      JOIN issuers i ON i.issuer_id = w.subject_id
"""
# The oldest list of each issuer that still makes some, and what was brought from the roots.
_OLDEST_LISTS = """
    SELECT i.issuer_id, i.subject, min(s.this_update) AS this_update, min(s.this_update) + %(lifetime)s AS next_update
      FROM crl_shards s
      JOIN issuers i ON i.issuer_id = s.issuer_id AND i.status NOT IN ('retired', 'revoked')
     WHERE s.this_update IS NOT NULL
     GROUP BY i.issuer_id, i.subject
    UNION ALL
    SELECT i.issuer_id, i.subject, r.this_update, r.next_update
      FROM root_lists r
      JOIN issuers i ON i.issuer_id = r.issuer_id AND i.status NOT IN ('retired', 'revoked')
"""
_COUNT = """
    SELECT t AS days, count(c.certificate_id) AS certificates
      FROM unnest(%(thresholds)s::smallint[]) AS t
      LEFT JOIN certificates c
        ON c.status = 'valid' AND c.not_after > %(now)s AND c.not_after <= %(now)s + make_interval(days => t)
     GROUP BY t
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """When somebody looks, and how many days before an expiry are worth a word."""

    now: datetime
    until: datetime
    thresholds: tuple[int, ...]

    def values(self) -> dict[str, object]:
        return {"now": self.now, "until": self.until, "thresholds": list(self.thresholds)}


@dataclass(frozen=True, slots=True)
class ExpiringIssuer:
    issuer_id: UUID
    days: int
    not_after: datetime
    subject: str


@dataclass(frozen=True, slots=True)
class OldestList:
    issuer_id: UUID
    subject: str
    this_update: datetime
    next_update: datetime


@dataclass(frozen=True, slots=True)
class Noted:
    """One warning, as it is kept."""

    kind: Literal["issuer", "list", "server"]
    subject_id: UUID
    days: int
    not_after: datetime
    name: str


async def tenants_to_warn(tx: Tx, look: Look) -> list[TenantId]:
    return [TenantId(row["tenant_id"]) for row in await tx.all(_TENANTS, look.values())]


async def warn_of_devices(tx: TenantTx, look: Look) -> Sequence[Row]:
    """Note up to ``CHUNK`` warnings that nobody has noted yet; return what to tell."""
    values = look.values() | {"tenant_id": tx.tenant, "limit": CHUNK}
    return await tx.all(_WARN_DEVICES, values)


async def warn_of_issuers(tx: TenantTx, look: Look) -> list[ExpiringIssuer]:
    rows = await tx.all(_WARN_ISSUERS, look.values() | {"tenant_id": tx.tenant})
    return [
        ExpiringIssuer(row["subject_id"], row["days"], row["not_after"], row["subject"])
        for row in rows
    ]


async def oldest_lists(tx: TenantTx) -> list[OldestList]:
    return [OldestList(**row) for row in await tx.all(_OLDEST_LISTS, {"lifetime": CRL_LIFETIME})]


async def note(tx: TenantTx, noted: Noted, now: datetime) -> bool:
    """Note a warning; False when it was noted before."""
    return (
        await tx.execute(
            """
            INSERT INTO expiry_warnings (tenant_id, kind, subject_id, days, not_after, warned_at, subject_name)
            VALUES (%(tenant_id)s, %(kind)s, %(subject_id)s, %(days)s, %(not_after)s, %(now)s, left(%(name)s, 300))
            ON CONFLICT DO NOTHING
            """,
            {
                "tenant_id": tx.tenant,
                "kind": noted.kind,
                "subject_id": noted.subject_id,
                "days": noted.days,
                "not_after": noted.not_after,
                "now": now,
                "name": noted.name,
            },
        )
        == 1
    )


async def count_expiring(tx: Tx, look: Look) -> dict[int, int]:
    """Count valid certificates by how many days they have left at most."""
    rows = await tx.all(_COUNT, look.values())
    return {row["days"]: row["certificates"] for row in rows}
