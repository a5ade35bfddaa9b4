"""Every SQL statement about logout tokens that were taken: each counts once, at whichever replica it comes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from pulse_common.tenancy import Tx


async def is_used(tx: Tx, token_id: str) -> bool:
    found = await tx.one_or_none(
        "SELECT true AS used FROM used_logout_tokens WHERE token_hash = %(token_hash)s",
        {"token_hash": _hash(token_id)},
    )
    return found is not None


async def add(tx: Tx, token_id: str, useless_at: datetime) -> None:
    await tx.execute(
        """
        INSERT INTO used_logout_tokens (token_hash, useless_at) VALUES (%(token_hash)s, %(useless_at)s)
        ON CONFLICT (token_hash) DO NOTHING
        """,
        {"token_hash": _hash(token_id), "useless_at": useless_at},
    )


async def delete_useless(tx: Tx, now: datetime) -> int:
    """Forget the tokens that would be refused for their age."""
    return await tx.execute(
        "DELETE FROM used_logout_tokens WHERE useless_at <= %(now)s", {"now": now}
    )


def _hash(token_id: str) -> bytes:
    return hashlib.sha256(token_id.encode()).digest()
