"""Every SQL statement about revocation lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cert_worker.domain import CrlHead, Revocation, ShardId

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from uuid import UUID

    from cert_worker.crl import Crl
    from pulse_common.tenancy import Tx

Probed = Literal["good", "unreachable", "unusable"]
"""What the prober met at a list's address."""


async def add_shards(tx: Tx, shards: Sequence[ShardId]) -> None:
    """Make a place for the lists of an issuer; those that have one keep it."""
    await tx.execute(
        """
        INSERT INTO crl_shards (issuer_id, shard)
        SELECT * FROM unnest(%(issuers)s::uuid[], %(shards)s::smallint[])
        ON CONFLICT DO NOTHING
        """,
        {"issuers": [s.issuer_id for s in shards], "shards": [s.shard for s in shards]},
    )


async def list_heads(tx: Tx) -> dict[ShardId, CrlHead]:
    rows = await tx.all("SELECT issuer_id, shard, number, this_update FROM crl_shards")
    return {
        ShardId(row["issuer_id"], row["shard"]): CrlHead(row["number"], row["this_update"])
        for row in rows
    }


async def list_pending(tx: Tx) -> set[ShardId]:
    """List the shards of which something has changed that no list tells."""
    rows = await tx.all("SELECT DISTINCT issuer_id, shard FROM crl_pending")
    return {ShardId(row["issuer_id"], row["shard"]) for row in rows}


async def lock_shard(tx: Tx, shard: ShardId) -> CrlHead:
    """Wait until no other replica is making this list.  Issuing and revoking go on meanwhile."""
    row = await tx.one(
        """
        SELECT number, this_update
          FROM crl_shards
         WHERE issuer_id = %(issuer_id)s AND shard = %(shard)s
           FOR NO KEY UPDATE
        """,
        _key(shard),
    )
    return CrlHead(row["number"], row["this_update"])


async def take_pending(tx: Tx, shard: ShardId) -> int:
    """Take what is pending: read revocations after this, in the same transaction."""
    return await tx.execute(
        "DELETE FROM crl_pending WHERE issuer_id = %(issuer_id)s AND shard = %(shard)s", _key(shard)
    )


async def note_probe(tx: Tx, shard: ShardId, outcome: Probed, at: datetime) -> None:
    await tx.execute(
        """
        UPDATE crl_shards SET probed_at = %(at)s, probe_outcome = %(outcome)s
         WHERE issuer_id = %(issuer_id)s AND shard = %(shard)s
        """,
        _key(shard) | {"at": at, "outcome": outcome},
    )


async def load_crl(tx: Tx, shard: ShardId) -> bytes | None:
    row = await tx.one(
        "SELECT der FROM crl_shards WHERE issuer_id = %(issuer_id)s AND shard = %(shard)s",
        _key(shard),
    )
    return None if row["der"] is None else bytes(row["der"])


async def list_revocations(
    tx: Tx, shard: ShardId, *, expiring_after: datetime
) -> Sequence[Revocation]:
    rows = await tx.all(
        """
        SELECT serial_number, revoked_at, revocation_reason
          FROM certificates
         WHERE issuer_id = %(issuer_id)s AND crl_shard = %(shard)s AND status <> 'valid'
           AND not_after > %(expiring_after)s
         ORDER BY serial_number
        """,
        _key(shard) | {"expiring_after": expiring_after},
    )
    return [
        Revocation(int(row["serial_number"], 16), row["revoked_at"], row["revocation_reason"])
        for row in rows
    ]


async def excused(
    tx: Tx, shard: ShardId, serial_numbers: Collection[int], *, expiring_after: datetime
) -> set[int]:
    """Return those that may leave a list: expired long enough ago, or released from hold."""
    rows = await tx.all(
        """
        SELECT serial_number
          FROM certificates
         WHERE issuer_id = %(issuer_id)s AND serial_number = ANY(%(serial_numbers)s)
           AND (not_after <= %(expiring_after)s OR (status = 'valid' AND released_at IS NOT NULL))
        """,
        _key(shard)
        | {
            "serial_numbers": [f"{number:x}" for number in serial_numbers],
            "expiring_after": expiring_after,
        },
    )
    return {int(row["serial_number"], 16) for row in rows}


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one certificate; revoked or on hold when it has a moment."""

    revoked_at: datetime | None
    reason: str | None


async def find_states(tx: Tx, names: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], State]:
    """Find certificates by issuer and serial number; those that were never issued are left out."""
    rows = await tx.all(
        """
        SELECT c.issuer_id, c.serial_number, c.revoked_at, c.revocation_reason
          FROM unnest(%(issuers)s::uuid[], %(serials)s::text[]) AS w (issuer_id, serial_number)
          JOIN certificates c ON c.issuer_id = w.issuer_id AND c.serial_number = w.serial_number
        """,
        {
            "issuers": [issuer_id for issuer_id, _ in names],
            "serials": [f"{serial_number:x}" for _, serial_number in names],
        },
    )
    return {
        (row["issuer_id"], int(row["serial_number"], 16)): State(
            row["revoked_at"], row["revocation_reason"]
        )
        for row in rows
    }


async def save_crl(tx: Tx, shard: ShardId, made: Crl) -> None:
    await tx.execute(
        """
        UPDATE crl_shards
           SET number = %(number)s, this_update = %(this_update)s, der = %(der)s
         WHERE issuer_id = %(issuer_id)s AND shard = %(shard)s
        """,
        _key(shard) | {"number": made.number, "this_update": made.this_update, "der": made.der},
    )


def _key(shard: ShardId) -> dict[str, object]:
    return {"issuer_id": shard.issuer_id, "shard": shard.shard}
