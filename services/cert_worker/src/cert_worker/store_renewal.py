"""Every SQL statement about renewing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from cert_worker.domain import Issued

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx


@dataclass(frozen=True, slots=True)
class Present:
    """The certificate that a device renews by."""

    certificate_id: UUID
    profile: str


async def find_present(
    tx: TenantTx, device_id: UUID, fingerprint: bytes | None, now: datetime
) -> Present | None:
    """Find the named certificate of a device, or the newest when none is named, if it counts now."""
    row = await tx.one_or_none(
        """
        SELECT c.certificate_id, c.profile
          FROM certificates c
          JOIN issuers i ON i.issuer_id = c.issuer_id AND i.status NOT IN ('retired', 'revoked')
         WHERE c.tenant_id = %(tenant_id)s AND c.device_id = %(device_id)s
           AND c.status = 'valid' AND c.not_before <= %(now)s AND c.not_after > %(now)s
           AND (%(fingerprint)s::bytea IS NULL OR c.fingerprint_sha256 = %(fingerprint)s)
         ORDER BY c.not_after DESC
         LIMIT 1
        """,
        {"tenant_id": tx.tenant, "device_id": device_id, "fingerprint": fingerprint, "now": now},
    )
    return None if row is None else Present(row["certificate_id"], row["profile"])


async def find_expired(
    tx: TenantTx, device_id: UUID, fingerprint: bytes, digest: bytes, now: datetime
) -> Present | None:
    """Find an expired certificate of a key that may be rescued: the last that the device had, and never cut off.

    What a rescue itself has issued for the key, and nobody has used yet, does not stand in the way of asking again.
    """
    row = await tx.one_or_none(
        """
        SELECT c.certificate_id, c.profile
          FROM certificates c
          JOIN issuers i ON i.issuer_id = c.issuer_id AND i.status <> 'revoked'
         WHERE c.tenant_id = %(tenant_id)s AND c.device_id = %(device_id)s
           AND c.fingerprint_sha256 = %(fingerprint)s AND c.public_key_sha256 = %(digest)s
           AND c.status = 'valid' AND c.not_after <= %(now)s
           AND NOT EXISTS (
               SELECT FROM certificates n
                WHERE n.tenant_id = c.tenant_id AND n.device_id = c.device_id AND n.certificate_id <> c.certificate_id
                  AND (n.status <> 'valid' AND NOT n.superseded
                           AND (n.created_at >= c.created_at OR n.public_key_sha256 = c.public_key_sha256)
                       OR n.status = 'valid' AND n.not_after > %(now)s
                           AND NOT (n.public_key_sha256 = c.public_key_sha256 AND n.renewal
                                    AND n.first_used_at IS NULL)))
        """,
        {
            "tenant_id": tx.tenant,
            "device_id": device_id,
            "fingerprint": fingerprint,
            "digest": digest,
            "now": now,
        },
    )
    return None if row is None else Present(row["certificate_id"], row["profile"])


async def find_unused(
    tx: TenantTx, device_id: UUID, issuer_id: UUID, digest: bytes, now: datetime
) -> Issued | None:
    """Find what was already issued for a key and has never been used, unless it is near its own renewal."""
    row = await tx.one_or_none(
        """
        SELECT certificate_id, profile, crl_shard, certificate_der
          FROM certificates
         WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s AND issuer_id = %(issuer_id)s
           AND public_key_sha256 = %(digest)s AND renewal AND first_used_at IS NULL AND status = 'valid'
           AND not_before + (not_after - not_before) * 2 / 3 > %(now)s
         ORDER BY not_after DESC
         LIMIT 1
        """,
        {
            "tenant_id": tx.tenant,
            "device_id": device_id,
            "issuer_id": issuer_id,
            "digest": digest,
            "now": now,
        },
    )
    if row is None:
        return None
    return Issued(
        certificate_id=row["certificate_id"],
        device_id=device_id,
        issuer_id=issuer_id,
        public_key_sha256=digest,
        profile=row["profile"],
        crl_shard=row["crl_shard"],
        certificate=x509.load_der_x509_certificate(row["certificate_der"]),
        renewal=True,
    )


async def note_asked_again(tx: TenantTx, certificate_id: UUID, now: datetime) -> None:
    """Note that a device may have lost the answer: the older certificate stays for as long again."""
    await tx.execute(
        """
        UPDATE certificates SET asked_again_at = %(now)s
         WHERE tenant_id = %(tenant_id)s AND certificate_id = %(certificate_id)s
        """,
        {"tenant_id": tx.tenant, "certificate_id": certificate_id, "now": now},
    )


async def count_renewals(tx: TenantTx, device_id: UUID, since: datetime) -> int:
    row = await tx.one(
        """
        SELECT count(*) AS renewals
          FROM certificates
         WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s AND renewal AND not_before > %(since)s
        """,
        {"tenant_id": tx.tenant, "device_id": device_id, "since": since},
    )
    return int(row["renewals"])
