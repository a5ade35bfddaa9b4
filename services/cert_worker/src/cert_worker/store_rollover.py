"""Every SQL statement about roll-overs, and about what devices trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cert_worker.rollover import Fleet, Rollover

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from cert_worker.domain import IssuerStatus
    from pulse_common.events_rollover import RolloverState
    from pulse_common.tenancy import Row, TenantTx, Tx

_LIST = """
    SELECT rollover_id, profile, old_issuer_id, new_issuer_id, state, least_share, drain_days, draining_at,
           created_at, changed_at
      FROM rollovers
     ORDER BY created_at DESC, rollover_id DESC
     LIMIT %(limit)s
"""
_OPEN = """
    SELECT rollover_id, profile, old_issuer_id, new_issuer_id, state, least_share, drain_days, draining_at,
           created_at, changed_at
      FROM rollovers
     WHERE state NOT IN ('retired', 'cancelled')
     ORDER BY profile
"""
_LOCK = """
    SELECT rollover_id, profile, old_issuer_id, new_issuer_id, state, least_share, drain_days, draining_at,
           created_at, changed_at
      FROM rollovers
     WHERE rollover_id = %(rollover_id)s
       FOR NO KEY UPDATE
"""
_FLEET = """
    WITH fleet AS (
        SELECT c.tenant_id, c.device_id, bool_or(c.issuer_id = %(new)s) AS holds
          FROM certificates c
          JOIN devices d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id AND d.status = 'active'
         WHERE c.profile = %(profile)s AND c.status = 'valid' AND c.not_after > %(now)s
         GROUP BY c.tenant_id, c.device_id)
    SELECT count(*) AS devices, count(*) FILTER (WHERE f.holds) AS holding,
           count(*) FILTER (WHERE f.holds OR t.authorities @> ARRAY[%(fingerprint)s]) AS trusting
      FROM fleet f
      LEFT JOIN device_trust t ON t.tenant_id = f.tenant_id AND t.device_id = f.device_id
"""
# What is on hold may be released: it counts.
_LEFT = """
    SELECT count(*) AS certificates
      FROM certificates
     WHERE issuer_id = %(old)s AND status IN ('valid', 'held') AND not_after > %(now)s
"""
_USED = """
    SELECT EXISTS (SELECT FROM certificates WHERE issuer_id = %(new)s AND first_used_at IS NOT NULL) AS used
"""
_OF_DEVICE = """
    SELECT c.issuer_id, c.profile
      FROM certificates c
      JOIN issuers i ON i.issuer_id = c.issuer_id AND i.status NOT IN ('retired', 'revoked')
     WHERE c.tenant_id = %(tenant_id)s AND c.device_id = %(device_id)s
       AND c.status = 'valid' AND c.not_before <= %(now)s AND c.not_after > %(now)s
     ORDER BY (i.status = 'active') DESC, c.not_after DESC
     LIMIT 1
"""
# A fleet that asks every hour must not write every hour.
_NOTE = """
    INSERT INTO device_trust (tenant_id, device_id, authorities, told_at)
    VALUES (%(tenant_id)s, %(device_id)s, %(authorities)s, %(now)s)
    ON CONFLICT (tenant_id, device_id) DO UPDATE
       SET authorities = EXCLUDED.authorities, told_at = EXCLUDED.told_at
     WHERE device_trust.authorities <> EXCLUDED.authorities
"""


@dataclass(frozen=True, slots=True)
class Present:
    """The newest certificate of a device that counts, one of the issuing CA before others."""

    issuer_id: UUID
    profile: str


async def list_rollovers(tx: Tx, limit: int) -> Sequence[Rollover]:
    return [_rollover(row) for row in await tx.all(_LIST, {"limit": limit})]


async def list_open(tx: Tx) -> Sequence[Rollover]:
    return [_rollover(row) for row in await tx.all(_OPEN)]


async def lock_rollover(tx: Tx, rollover_id: UUID) -> Rollover | None:
    row = await tx.one_or_none(_LOCK, {"rollover_id": rollover_id})
    return None if row is None else _rollover(row)


async def insert_rollover(tx: Tx, rollover: Rollover) -> None:
    await tx.execute(
        """
        INSERT INTO rollovers (rollover_id, profile, old_issuer_id, new_issuer_id, state, least_share, drain_days,
                               created_at, changed_at)
        VALUES (%(rollover_id)s, %(profile)s, %(old)s, %(new)s, %(state)s, %(least_share)s, %(drain_days)s,
                %(now)s, %(now)s)
        """,
        {
            "rollover_id": rollover.rollover_id,
            "profile": rollover.profile,
            "old": rollover.old_issuer_id,
            "new": rollover.new_issuer_id,
            "state": rollover.state,
            "least_share": rollover.least_share,
            "drain_days": rollover.drain_days,
            "now": rollover.created_at,
        },
    )


async def set_state(tx: Tx, rollover_id: UUID, state: RolloverState, now: datetime) -> None:
    """Note a step.  Draining begins anew each time that it begins: what was asked for before the step back is over."""
    await tx.execute(
        """
        UPDATE rollovers
           SET state = %(state)s, changed_at = %(now)s,
               draining_at = CASE WHEN %(state)s = 'draining' THEN %(now)s ELSE draining_at END
         WHERE rollover_id = %(rollover_id)s
        """,
        {"rollover_id": rollover_id, "state": state, "now": now},
    )


async def set_status(tx: Tx, issuer_id: UUID, status: IssuerStatus) -> None:
    """Say what an issuer may do; a revoked one stays revoked, and a retired one retired."""
    await tx.execute(
        """
        UPDATE issuers
           SET status = %(status)s
         WHERE issuer_id = %(issuer_id)s AND status NOT IN ('revoked', 'retired')
        """,
        {"issuer_id": issuer_id, "status": status},
    )


async def keep_lists(tx: Tx, issuer_id: UUID, *, at_least: datetime) -> None:
    """Have the lists of a retired issuer made for as long as a certificate of it is within its dates, and once more."""
    await tx.execute(
        """
        UPDATE issuers
           SET lists_until = greatest(%(at_least)s, (SELECT max(not_after) + interval '2 days' FROM certificates
                                                      WHERE issuer_id = %(issuer_id)s))
         WHERE issuer_id = %(issuer_id)s
        """,
        {"issuer_id": issuer_id, "at_least": at_least},
    )


async def cancel_of(tx: Tx, issuer_id: UUID, now: datetime) -> Sequence[Rollover]:
    """End the open roll-overs that an issuer has a part in."""
    rows = await tx.all(
        """
        UPDATE rollovers
           SET state = 'cancelled', changed_at = %(now)s
         WHERE state NOT IN ('retired', 'cancelled') AND %(issuer_id)s IN (old_issuer_id, new_issuer_id)
        RETURNING rollover_id, profile, old_issuer_id, new_issuer_id, state, least_share, drain_days, draining_at,
                  created_at, changed_at
        """,
        {"issuer_id": issuer_id, "now": now},
    )
    return [_rollover(row) for row in rows]


async def count_fleet(tx: Tx, rollover: Rollover, fingerprint: str, now: datetime) -> Fleet:
    """Read every certificate of the profile: half a second for a million."""
    values = {
        "old": rollover.old_issuer_id,
        "new": rollover.new_issuer_id,
        "profile": rollover.profile,
        "fingerprint": fingerprint,
        "now": now,
    }
    counted = await tx.one(_FLEET, values)
    left = await tx.one(_LEFT, values)
    used = await tx.one(_USED, values)
    return Fleet(
        devices=counted["devices"],
        trusting=counted["trusting"],
        holding=counted["holding"],
        left=left["certificates"],
        used=used["used"],
    )


async def find_present(tx: TenantTx, device_id: UUID, now: datetime) -> Present | None:
    values = {"tenant_id": tx.tenant, "device_id": device_id, "now": now}
    row = await tx.one_or_none(_OF_DEVICE, values)
    return None if row is None else Present(row["issuer_id"], row["profile"])


async def note_trust(
    tx: TenantTx, device_id: UUID, authorities: Sequence[str], now: datetime
) -> None:
    values = {
        "tenant_id": tx.tenant,
        "device_id": device_id,
        "authorities": sorted(set(authorities)),
        "now": now,
    }
    await tx.execute(_NOTE, values)


def _rollover(row: Row) -> Rollover:
    return Rollover(
        rollover_id=row["rollover_id"],
        profile=row["profile"],
        old_issuer_id=row["old_issuer_id"],
        new_issuer_id=row["new_issuer_id"],
        state=row["state"],
        least_share=row["least_share"],
        drain_days=row["drain_days"],
        draining_at=row["draining_at"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
    )
