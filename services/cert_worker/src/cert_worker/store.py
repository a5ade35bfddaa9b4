"""Every SQL statement of this service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from cert_worker.domain import CrlHead, DeviceState, Issuer, KeyUse, Revocation, Revoked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from cert_worker.crl import Crl
    from cert_worker.domain import Issued
    from pulse_common.tenancy import TenantTx, Tx


async def lock_authority(tx: Tx) -> None:
    """Wait until no other replica is making or loading the CA."""
    await tx.one("SELECT pg_advisory_xact_lock(hashtext('pulse.cert_worker.authority'))")


async def list_issuers(tx: Tx) -> list[Issuer]:
    rows = await tx.all(
        """
        SELECT issuer_id, kind, certificate_der
          FROM issuers
         WHERE status = 'active'
         ORDER BY created_at DESC, issuer_id DESC
        """
    )
    return [
        Issuer(
            issuer_id=row["issuer_id"],
            kind=row["kind"],
            certificate=x509.load_der_x509_certificate(row["certificate_der"]),
        )
        for row in rows
    ]


async def insert_issuer(tx: Tx, issuer: Issuer) -> None:
    certificate = issuer.certificate
    await tx.execute(
        """
        INSERT INTO issuers (issuer_id, kind, subject, certificate_der, fingerprint_sha256, not_before, not_after)
        VALUES (%(issuer_id)s, %(kind)s, %(subject)s, %(der)s, %(fingerprint)s, %(not_before)s, %(not_after)s)
        """,
        {
            "issuer_id": issuer.issuer_id,
            "kind": issuer.kind,
            "subject": certificate.subject.rfc4514_string(),
            "der": certificate.public_bytes(Encoding.DER),
            "fingerprint": certificate.fingerprint(SHA256()),
            "not_before": certificate.not_valid_before_utc,
            "not_after": certificate.not_valid_after_utc,
        },
    )


async def hold_device(tx: TenantTx, device_id: UUID) -> DeviceState | None:
    """Find a device of this tenant; it can be neither disabled nor revoked until the transaction ends."""
    row = await tx.one_or_none(
        """
        SELECT t.status AS tenant_status, d.status AS device_status
          FROM devices d
          JOIN tenants t USING (tenant_id)
         WHERE d.tenant_id = %(tenant_id)s AND d.device_id = %(device_id)s
           FOR SHARE OF d
        """,
        {"tenant_id": tx.tenant, "device_id": device_id},
    )
    return None if row is None else DeviceState(row["tenant_status"], row["device_status"])


async def lock_device(tx: TenantTx, device_id: UUID) -> bool:
    """Wait until no certificate of this device is being issued; return whether there is such a device."""
    row = await tx.one_or_none(
        """
        SELECT device_id
          FROM devices
         WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s
           FOR NO KEY UPDATE
        """,
        {"tenant_id": tx.tenant, "device_id": device_id},
    )
    return row is not None


async def uses_of_key(tx: TenantTx, digest: bytes) -> list[KeyUse]:
    """List what was issued for a key, whoever's it is; nobody else can use the key until the transaction ends."""
    await tx.one(
        "SELECT pg_advisory_xact_lock(hashtext('pulse.cert_worker.key'), hashtext(%(digest)s))",
        {"digest": digest.hex()},
    )
    rows = await tx.all(
        """
        SELECT tenant_id, device_id, revocation_reason
          FROM certificates
         WHERE public_key_sha256 = %(digest)s
        """,
        {"digest": digest},
    )
    return [KeyUse(row["tenant_id"], row["device_id"], row["revocation_reason"]) for row in rows]


async def insert_certificate(tx: TenantTx, issued: Issued) -> None:
    certificate = issued.certificate
    await tx.execute(
        """
        INSERT INTO certificates (tenant_id, certificate_id, device_id, issuer_id, serial_number, fingerprint_sha256,
                                  public_key_sha256, certificate_der, not_before, not_after)
        VALUES (%(tenant_id)s, %(certificate_id)s, %(device_id)s, %(issuer_id)s, %(serial_number)s, %(fingerprint)s,
                %(public_key)s, %(der)s, %(not_before)s, %(not_after)s)
        """,
        {
            "tenant_id": tx.tenant,
            "certificate_id": issued.certificate_id,
            "device_id": issued.device_id,
            "issuer_id": issued.issuer_id,
            "serial_number": issued.serial_number,
            "fingerprint": certificate.fingerprint(SHA256()),
            "public_key": issued.public_key_sha256,
            "der": certificate.public_bytes(Encoding.DER),
            "not_before": certificate.not_valid_before_utc,
            "not_after": certificate.not_valid_after_utc,
        },
    )


async def revoke_certificates(
    tx: TenantTx, device_id: UUID, *, reason: str, now: datetime
) -> list[Revoked]:
    """Revoke what is valid now and return it."""
    rows = await tx.all(
        """
        UPDATE certificates
           SET status = 'revoked', revoked_at = %(now)s, revocation_reason = %(reason)s
         WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s
           AND status = 'valid' AND not_after > %(now)s
        RETURNING certificate_id, serial_number, fingerprint_sha256
        """,
        {"tenant_id": tx.tenant, "device_id": device_id, "reason": reason, "now": now},
    )
    return [
        Revoked(row["certificate_id"], row["serial_number"], row["fingerprint_sha256"].hex())
        for row in rows
    ]


async def last_revocation(tx: TenantTx, device_id: UUID) -> datetime | None:
    row = await tx.one(
        """
        SELECT max(revoked_at) AS at
          FROM certificates
         WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s
        """,
        {"tenant_id": tx.tenant, "device_id": device_id},
    )
    at: datetime | None = row["at"]
    return at


async def find_crl_head(tx: Tx, issuer_id: UUID) -> CrlHead:
    row = await tx.one(
        "SELECT crl_number, crl_this_update FROM issuers WHERE issuer_id = %(issuer_id)s",
        {"issuer_id": issuer_id},
    )
    return CrlHead(row["crl_number"], row["crl_this_update"])


async def lock_crl(tx: Tx, issuer_id: UUID) -> CrlHead:
    """Wait until no other replica is making a list for this issuer.  Issuing certificates goes on meanwhile."""
    row = await tx.one(
        """
        SELECT crl_number, crl_this_update
          FROM issuers
         WHERE issuer_id = %(issuer_id)s
           FOR NO KEY UPDATE
        """,
        {"issuer_id": issuer_id},
    )
    return CrlHead(row["crl_number"], row["crl_this_update"])


async def load_crl(tx: Tx, issuer_id: UUID) -> bytes:
    row = await tx.one(
        "SELECT crl_der FROM issuers WHERE issuer_id = %(issuer_id)s", {"issuer_id": issuer_id}
    )
    return bytes(row["crl_der"])


async def list_revocations(
    tx: Tx, issuer_id: UUID, *, expiring_after: datetime
) -> Sequence[Revocation]:
    rows = await tx.all(
        """
        SELECT serial_number, revoked_at, revocation_reason
          FROM certificates
         WHERE issuer_id = %(issuer_id)s AND status = 'revoked' AND not_after > %(expiring_after)s
         ORDER BY serial_number
        """,
        {"issuer_id": issuer_id, "expiring_after": expiring_after},
    )
    return [
        Revocation(int(row["serial_number"], 16), row["revoked_at"], row["revocation_reason"])
        for row in rows
    ]


async def save_crl(tx: Tx, issuer_id: UUID, crl: Crl) -> None:
    await tx.execute(
        """
        UPDATE issuers
           SET crl_number = %(number)s, crl_this_update = %(this_update)s, crl_der = %(der)s
         WHERE issuer_id = %(issuer_id)s
        """,
        {
            "issuer_id": issuer_id,
            "number": crl.number,
            "this_update": crl.this_update,
            "der": crl.der,
        },
    )
