"""Every SQL statement that revokes, holds or releases certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from cert_worker.domain import Changed, ShardId
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from cert_worker.domain import Selection
    from pulse_common.events import CertificateSelector
    from pulse_common.tenancy import Row, TenantTx, Tx

CHUNK = 1000
_CONDITION: dict[CertificateSelector, LiteralString] = {
    "certificate": "certificate_id = %(value)s::uuid",
    "device": "device_id = %(value)s::uuid",
    "issuer": "issuer_id = %(value)s::uuid",
    "profile": "profile = %(value)s",
    "key": "public_key_sha256 = decode(%(value)s, 'hex')",
}


_TENANTS: LiteralString = "SELECT DISTINCT tenant_id FROM certificates WHERE {meant}"
_LOCK_DEVICES: LiteralString = """
    SELECT device_id
      FROM devices
     WHERE tenant_id = %(tenant_id)s
       AND device_id IN (SELECT device_id FROM certificates WHERE tenant_id = %(tenant_id)s AND {meant})
     ORDER BY device_id
       FOR NO KEY UPDATE
"""
_REVOKE: LiteralString = """
    UPDATE certificates
       SET status = 'revoked', revoked_at = %(now)s, revocation_reason = %(reason)s
     WHERE tenant_id = %(tenant_id)s AND certificate_id IN (
           SELECT certificate_id
             FROM certificates
            WHERE tenant_id = %(tenant_id)s AND status <> 'revoked' AND not_after > %(now)s AND {meant}
            LIMIT %(limit)s)
    RETURNING certificate_id, device_id, issuer_id, crl_shard, serial_number, fingerprint_sha256
"""
_HOLD: LiteralString = """
    UPDATE certificates
       SET status = 'held', revoked_at = %(now)s, revocation_reason = 'certificateHold'
     WHERE tenant_id = %(tenant_id)s AND certificate_id IN (
           SELECT certificate_id
             FROM certificates
            WHERE tenant_id = %(tenant_id)s AND status = 'valid' AND not_after > %(now)s AND {meant}
            LIMIT %(limit)s)
    RETURNING certificate_id, device_id, issuer_id, crl_shard, serial_number, fingerprint_sha256
"""
_RELEASE: LiteralString = """
    UPDATE certificates
       SET status = 'valid', revoked_at = NULL, revocation_reason = NULL, released_at = %(now)s
     WHERE tenant_id = %(tenant_id)s AND certificate_id IN (
           SELECT certificate_id
             FROM certificates
            WHERE tenant_id = %(tenant_id)s AND status = 'held' AND {meant}
            LIMIT %(limit)s)
    RETURNING certificate_id, device_id, issuer_id, crl_shard, serial_number, fingerprint_sha256
"""

_FIRST_USE = """
    UPDATE certificates
       SET first_used_at = %(now)s
     WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s AND fingerprint_sha256 = %(fingerprint)s
       AND renewal AND first_used_at IS NULL AND status = 'valid'
    RETURNING certificate_id, not_before
"""
# What is on hold stays so: somebody decided that, and somebody will decide about it again.
_SUPERSEDE = """
    UPDATE certificates
       SET status = 'revoked', revoked_at = %(now)s, revocation_reason = 'superseded', superseded = true,
           session_cut_at = %(now)s
     WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s AND certificate_id <> %(used)s
       AND status = 'valid' AND not_after > %(now)s AND not_before <= %(not_before)s
    RETURNING certificate_id, device_id, issuer_id, crl_shard, serial_number, fingerprint_sha256
"""

# What the overlap ends for whoever never used its renewed certificate: a session may be open with the older one.
_RETIRE_OVERLAPPED = """
    UPDATE certificates
       SET status = 'revoked', revoked_at = %(now)s, revocation_reason = 'superseded', superseded = true
     WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s AND certificate_id <> %(kept)s
       AND status = 'valid' AND not_after > %(now)s AND not_before <= %(not_before)s
    RETURNING certificate_id, device_id, issuer_id, crl_shard, serial_number, fingerprint_sha256
"""
# The newest of a device that has not been used since long before, nor asked for again: who lost an answer asks again,
# and is not shut out.
_OVERLAPPED = """
    SELECT n.tenant_id, n.device_id, n.certificate_id, n.not_before
      FROM certificates n
     WHERE n.renewal AND n.first_used_at IS NULL AND n.status = 'valid' AND n.not_after > %(now)s
       AND n.created_at <= %(before)s AND (n.asked_again_at IS NULL OR n.asked_again_at <= %(before)s)
       AND NOT EXISTS (SELECT FROM certificates o
                        WHERE o.tenant_id = n.tenant_id AND o.device_id = n.device_id AND o.status = 'valid'
                          AND o.not_before > n.not_before)
       AND EXISTS (SELECT FROM certificates o
                    WHERE o.tenant_id = n.tenant_id AND o.device_id = n.device_id AND o.status = 'valid'
                      AND o.certificate_id <> n.certificate_id AND o.not_after > %(now)s)
     ORDER BY n.created_at
     LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Overlapped:
    """A renewed certificate that stands beside older ones for too long."""

    tenant: TenantId
    device_id: UUID
    certificate_id: UUID
    not_before: datetime


async def list_overlapped(tx: Tx, *, now: datetime, before: datetime) -> Sequence[Overlapped]:
    rows = await tx.all(_OVERLAPPED, {"now": now, "before": before, "limit": CHUNK})
    return [
        Overlapped(
            TenantId(row["tenant_id"]), row["device_id"], row["certificate_id"], row["not_before"]
        )
        for row in rows
    ]


async def end_overlap(tx: TenantTx, found: Overlapped, *, now: datetime) -> Sequence[Changed]:
    """Retire what is older than a renewed certificate that was never used."""
    values = {
        "tenant_id": tx.tenant,
        "device_id": found.device_id,
        "kept": found.certificate_id,
        "not_before": found.not_before,
        "now": now,
    }
    return await _changed(tx, await tx.all(_RETIRE_OVERLAPPED, values))


async def tenants_with(tx: Tx, selection: Selection) -> list[TenantId]:
    query = _TENANTS.replace("{meant}", _CONDITION[selection.by])
    rows = await tx.all(query, {"value": selection.value})
    return sorted(TenantId(row["tenant_id"]) for row in rows)


async def lock_devices(tx: TenantTx, selection: Selection) -> None:
    """Lock the devices that are meant, in order: meanwhile no certificate of theirs is issued."""
    query = _LOCK_DEVICES.replace("{meant}", _CONDITION[selection.by])
    await tx.execute(query, {"tenant_id": tx.tenant, "value": selection.value})


async def revoke(
    tx: TenantTx, selection: Selection, *, reason: str, now: datetime
) -> Sequence[Changed]:
    """Revoke up to ``CHUNK`` certificates that have not expired; one that is on hold is revoked for good."""
    query = _REVOKE.replace("{meant}", _CONDITION[selection.by])
    values = _values(tx, selection, now) | {"reason": reason}
    return await _changed(tx, await tx.all(query, values))


async def hold(tx: TenantTx, selection: Selection, *, now: datetime) -> Sequence[Changed]:
    """Put up to ``CHUNK`` valid certificates on hold."""
    query = _HOLD.replace("{meant}", _CONDITION[selection.by])
    return await _changed(tx, await tx.all(query, _values(tx, selection, now)))


async def supersede(
    tx: TenantTx, device_id: UUID, fingerprint: bytes, *, now: datetime
) -> Sequence[Changed]:
    """Note that a renewed certificate has been used, the first time, and retire those before it that count.

    No session is left to cut: the broker has one for a device, and it is that of the certificate which was used.
    """
    values = {"tenant_id": tx.tenant, "device_id": device_id, "now": now}
    used = await tx.one_or_none(_FIRST_USE, values | {"fingerprint": fingerprint})
    if used is None:
        return ()
    values |= {"used": used["certificate_id"], "not_before": used["not_before"]}
    return await _changed(tx, await tx.all(_SUPERSEDE, values))


async def release(tx: TenantTx, selection: Selection, *, now: datetime) -> Sequence[Changed]:
    """Let up to ``CHUNK`` certificates on hold count again."""
    query = _RELEASE.replace("{meant}", _CONDITION[selection.by])
    return await _changed(tx, await tx.all(query, _values(tx, selection, now)))


async def revoke_issuer(tx: Tx, issuer_id: UUID, *, reason: str, now: datetime) -> None:
    await tx.execute(
        """
        UPDATE issuers
           SET status = 'revoked', revoked_at = %(now)s, revocation_reason = %(reason)s
         WHERE issuer_id = %(issuer_id)s AND status <> 'revoked'
        """,
        {"issuer_id": issuer_id, "reason": reason, "now": now},
    )


async def issuer_revoked_at(tx: Tx, issuer_id: UUID) -> datetime | None:
    """Say when a CA was revoked, if it was; nobody else revokes it until the transaction ends."""
    row = await tx.one_or_none(
        "SELECT revoked_at FROM issuers WHERE issuer_id = %(issuer_id)s FOR NO KEY UPDATE",
        {"issuer_id": issuer_id},
    )
    revoked_at: datetime | None = None if row is None else row["revoked_at"]
    return revoked_at


def _values(tx: TenantTx, selection: Selection, now: datetime) -> dict[str, object]:
    return {"tenant_id": tx.tenant, "value": selection.value, "now": now, "limit": CHUNK}


async def _changed(tx: Tx, rows: Sequence[Row]) -> Sequence[Changed]:
    """Note beside the change that the lists of these certificates must be made anew."""
    changed = [
        Changed(
            certificate_id=row["certificate_id"],
            device_id=row["device_id"],
            shard=ShardId(row["issuer_id"], row["crl_shard"]),
            serial_number=row["serial_number"],
            fingerprint_sha256=row["fingerprint_sha256"].hex(),
        )
        for row in rows
    ]
    shards = sorted({certificate.shard for certificate in changed})
    await tx.execute(
        """
        INSERT INTO crl_pending (issuer_id, shard)
        SELECT * FROM unnest(%(issuers)s::uuid[], %(shards)s::smallint[])
        """,
        {
            "issuers": [shard.issuer_id for shard in shards],
            "shards": [shard.shard for shard in shards],
        },
    )
    return changed
