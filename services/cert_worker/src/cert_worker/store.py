"""Every SQL statement about issuers and issuing; revoking has ``store_revocation.py``, lists ``store_crl.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from cert_worker.domain import DeviceState, Issuer, KeyUse

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from uuid import UUID

    from cert_worker.domain import Issued
    from pulse_common.tenancy import TenantTx, Tx


async def lock_authority(tx: Tx) -> None:
    """Wait until no other replica is making or loading the CA."""
    await tx.one("SELECT pg_advisory_xact_lock(hashtext('pulse.cert_worker.authority'))")


async def list_issuers(tx: Tx) -> list[Issuer]:
    rows = await tx.all(
        """
        SELECT i.issuer_id, i.kind, i.certificate_der, i.status, i.profile, i.crl_shards, i.lists_until,
               i.status <> 'standby'
               OR EXISTS (SELECT FROM rollovers r
                           WHERE r.new_issuer_id = i.issuer_id AND r.state IN ('distributing', 'dual_trust'))
               AS told_of
          FROM issuers i
         ORDER BY created_at DESC, issuer_id DESC
        """
    )
    return [
        Issuer(
            issuer_id=row["issuer_id"],
            kind=row["kind"],
            certificate=x509.load_der_x509_certificate(row["certificate_der"]),
            status=row["status"],
            profile=row["profile"],
            crl_shards=row["crl_shards"],
            lists_until=row["lists_until"],
            told_of=row["told_of"],
        )
        for row in rows
    ]


async def insert_issuer(tx: Tx, issuer: Issuer) -> None:
    certificate = issuer.certificate
    await tx.execute(
        """
        INSERT INTO issuers (issuer_id, kind, subject, certificate_der, fingerprint_sha256, not_before, not_after,
                             status, profile, crl_shards)
        VALUES (%(issuer_id)s, %(kind)s, %(subject)s, %(der)s, %(fingerprint)s, %(not_before)s, %(not_after)s,
                %(status)s, %(profile)s, %(crl_shards)s)
        """,
        {
            "issuer_id": issuer.issuer_id,
            "kind": issuer.kind,
            "status": issuer.status,
            "profile": issuer.profile,
            "crl_shards": issuer.crl_shards,
            "subject": certificate.subject.rfc4514_string(),
            "der": certificate.public_bytes(Encoding.DER),
            "fingerprint": certificate.fingerprint(SHA256()),
            "not_before": certificate.not_valid_before_utc,
            "not_after": certificate.not_valid_after_utc,
        },
    )


async def hold_devices(
    tx: TenantTx, device_ids: Collection[UUID], issuer_id: UUID
) -> dict[UUID, DeviceState]:
    """Find devices of this tenant; none can be disabled or revoked until the transaction ends."""
    rows = await tx.all(
        """
        SELECT d.device_id, t.status AS tenant_status, d.status AS device_status, i.status AS issuer_status
          FROM devices d
          JOIN tenants t USING (tenant_id)
          JOIN issuers i ON i.issuer_id = %(issuer_id)s
         WHERE d.tenant_id = %(tenant_id)s AND d.device_id = ANY(%(device_ids)s)
         ORDER BY d.device_id
           FOR SHARE OF d
        """,
        {"tenant_id": tx.tenant, "device_ids": list(device_ids), "issuer_id": issuer_id},
    )
    return {
        row["device_id"]: DeviceState(
            row["tenant_status"], row["device_status"], row["issuer_status"]
        )
        for row in rows
    }


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


async def uses_of_keys(tx: TenantTx, digests: Collection[bytes]) -> dict[bytes, list[KeyUse]]:
    """List what was issued for some keys, whoever's they are; nobody else can use them until the transaction ends."""
    # In order, so that two batches that share keys wait for each other and never both.
    names = sorted(digest.hex() for digest in digests)
    await tx.all(
        """
        SELECT pg_advisory_xact_lock(hashtext('pulse.cert_worker.key'), hashtext(name))
          FROM unnest(%(names)s::text[]) AS name
        """,
        {"names": names},
    )
    rows = await tx.all(
        """
        SELECT public_key_sha256, tenant_id, device_id, revocation_reason
          FROM certificates
         WHERE public_key_sha256 = ANY(%(digests)s)
        """,
        {"digests": list(digests)},
    )
    uses: dict[bytes, list[KeyUse]] = {digest: [] for digest in digests}
    for row in rows:
        use = KeyUse(row["tenant_id"], row["device_id"], row["revocation_reason"])
        uses[bytes(row["public_key_sha256"])].append(use)
    return uses


async def insert_certificates(tx: TenantTx, issued: Sequence[Issued]) -> None:
    await tx.execute(
        """
        INSERT INTO certificates (tenant_id, certificate_id, device_id, issuer_id, serial_number, fingerprint_sha256,
                                  public_key_sha256, certificate_der, not_before, not_after, profile, crl_shard,
                                  renewal)
        SELECT %(tenant_id)s, r.*
          FROM unnest(%(certificate_ids)s::uuid[], %(device_ids)s::uuid[], %(issuer_ids)s::uuid[], %(serials)s::text[],
                      %(fingerprints)s::bytea[], %(public_keys)s::bytea[], %(ders)s::bytea[],
                      %(begins)s::timestamptz[], %(ends)s::timestamptz[], %(profiles)s::text[],
                      %(shards)s::smallint[], %(renewals)s::boolean[]) AS r
        """,
        {
            "tenant_id": tx.tenant,
            "certificate_ids": [one.certificate_id for one in issued],
            "device_ids": [one.device_id for one in issued],
            "issuer_ids": [one.issuer_id for one in issued],
            "serials": [one.serial_number for one in issued],
            "fingerprints": [one.certificate.fingerprint(SHA256()) for one in issued],
            "public_keys": [one.public_key_sha256 for one in issued],
            "ders": [one.certificate.public_bytes(Encoding.DER) for one in issued],
            "begins": [one.certificate.not_valid_before_utc for one in issued],
            "ends": [one.certificate.not_valid_after_utc for one in issued],
            "profiles": [one.profile for one in issued],
            "shards": [one.crl_shard for one in issued],
            "renewals": [one.renewal for one in issued],
        },
    )


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
