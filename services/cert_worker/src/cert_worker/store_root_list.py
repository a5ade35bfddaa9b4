"""Every SQL statement about the roots' own lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from cert_worker.root_list import RootList
    from pulse_common.tenancy import Tx


async def load_lists(tx: Tx) -> dict[UUID, bytes]:
    rows = await tx.all("SELECT issuer_id, der FROM root_lists")
    return {row["issuer_id"]: bytes(row["der"]) for row in rows}


async def lock_list(tx: Tx, issuer_id: UUID) -> bytes | None:
    """Read the list of a root; nobody else takes a newer one until the transaction ends."""
    await tx.one(
        "SELECT pg_advisory_xact_lock(hashtext('pulse.cert_worker.root_list'), hashtext(%(id)s))",
        {"id": str(issuer_id)},
    )
    row = await tx.one_or_none(
        "SELECT der FROM root_lists WHERE issuer_id = %(issuer_id)s", {"issuer_id": issuer_id}
    )
    return None if row is None else bytes(row["der"])


async def save_list(tx: Tx, issuer_id: UUID, made: RootList, now: datetime) -> None:
    await tx.execute(
        """
        INSERT INTO root_lists (issuer_id, number, this_update, next_update, der, imported_at)
        VALUES (%(issuer_id)s, %(number)s, %(this_update)s, %(next_update)s, %(der)s, %(now)s)
        ON CONFLICT (issuer_id) DO UPDATE
           SET number = EXCLUDED.number, this_update = EXCLUDED.this_update, next_update = EXCLUDED.next_update,
               der = EXCLUDED.der, imported_at = EXCLUDED.imported_at
        """,
        {
            "issuer_id": issuer_id,
            "number": made.number,
            "this_update": made.this_update,
            "next_update": made.next_update,
            "der": made.der,
            "now": now,
        },
    )
