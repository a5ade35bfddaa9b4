"""Every SQL statement about requests that came with an Idempotency-Key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One person's key, for one request; the device is what the request makes."""

    actor_id: str
    key_hash: bytes
    request_hash: bytes
    device_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    request_hash: bytes
    device_id: UUID
    leased_until: datetime
    answer_sealed: bytes | None


async def delete_expired(tx: TenantTx, now: datetime) -> None:
    await tx.execute("DELETE FROM idempotency_keys WHERE expires_at <= %(now)s", {"now": now})


async def claim(tx: TenantTx, claim: Claim, leased_until: datetime, expires_at: datetime) -> bool:
    """Return whether the key was free.  Of two at once the second waits here for the first's commit."""
    made = await tx.execute(
        """
        INSERT INTO idempotency_keys (tenant_id, actor_id, key_hash, request_hash, device_id, leased_until, expires_at)
        VALUES (%(tenant_id)s, %(actor_id)s, %(key_hash)s, %(request_hash)s, %(device_id)s, %(leased_until)s,
                %(expires_at)s)
        ON CONFLICT (tenant_id, actor_id, key_hash) DO NOTHING
        """,
        {
            "tenant_id": tx.tenant,
            "actor_id": claim.actor_id,
            "key_hash": claim.key_hash,
            "request_hash": claim.request_hash,
            "device_id": claim.device_id,
            "leased_until": leased_until,
            "expires_at": expires_at,
        },
    )
    return made == 1


async def lock(tx: TenantTx, actor_id: str, key_hash: bytes) -> Known | None:
    row = await tx.one_or_none(
        """
        SELECT request_hash, device_id, leased_until, answer_sealed
          FROM idempotency_keys
         WHERE actor_id = %(actor_id)s AND key_hash = %(key_hash)s
           FOR UPDATE
        """,
        {"actor_id": actor_id, "key_hash": key_hash},
    )
    return None if row is None else Known(**row)


async def lease(tx: TenantTx, claim: Claim, leased_until: datetime) -> None:
    """Say until when somebody works on the request; a moment that has passed lets the next one take over."""
    await tx.execute(
        """
        UPDATE idempotency_keys
           SET leased_until = %(leased_until)s
         WHERE actor_id = %(actor_id)s AND key_hash = %(key_hash)s AND answer_sealed IS NULL
        """,
        {
            "actor_id": claim.actor_id,
            "key_hash": claim.key_hash,
            "leased_until": leased_until,
        },
    )


async def keep_answer(tx: TenantTx, claim: Claim, sealed: bytes) -> None:
    await tx.execute(
        """
        UPDATE idempotency_keys
           SET answer_sealed = %(sealed)s
         WHERE actor_id = %(actor_id)s AND key_hash = %(key_hash)s
        """,
        {"actor_id": claim.actor_id, "key_hash": claim.key_hash, "sealed": sealed},
    )


async def release(tx: TenantTx, claim: Claim) -> None:
    await tx.execute(
        """
        DELETE FROM idempotency_keys
         WHERE actor_id = %(actor_id)s AND key_hash = %(key_hash)s AND answer_sealed IS NULL
        """,
        {"actor_id": claim.actor_id, "key_hash": claim.key_hash},
    )
