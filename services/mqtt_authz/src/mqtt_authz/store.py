"""The SQL of what a CONNECT asks: what stands behind a certificate, and what a device has to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from mqtt_authz import ways_in
from mqtt_authz.certificate import DeviceCertificate
from mqtt_authz.domain import Standing
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.tenancy import Row, TenantTx, Tx

# For each fingerprint one look-up by its unique index, then four by primary key.
_STANDINGS: LiteralString = f"""
    SELECT c.fingerprint_sha256, c.tenant_id, c.device_id, c.issuer_id,
           c.status = 'valid'  AS certificate_valid,
           i.status NOT IN ('retired', 'revoked') AS issuer_active,
           d.status = 'active' AS device_active,
           t.status = 'active' AS tenant_active,
           c.renewal AND c.first_used_at IS NULL AS awaits_first_use,
           {ways_in.IN_PLAN}
      FROM certificates c
      JOIN issuers i ON i.issuer_id = c.issuer_id
      JOIN devices d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id
      JOIN tenants t ON t.tenant_id = c.tenant_id
           {ways_in.PLAN}
     WHERE c.fingerprint_sha256 = ANY(%(fingerprints)s)
"""  # noqa: S608 -- constants of ours
# The certificate that a device would show: one that counts before one that does not, the longest first.
_CERTIFICATE: LiteralString = f"""
    SELECT d.tenant_id, d.device_id, c.issuer_id, c.serial_number, c.fingerprint_sha256, c.not_before, c.not_after,
           c.status = 'valid'  AS certificate_valid,
           i.status NOT IN ('retired', 'revoked') AS issuer_active,
           d.status = 'active' AS device_active,
           t.status = 'active' AS tenant_active,
           c.renewal AND c.first_used_at IS NULL AS awaits_first_use,
           {ways_in.IN_PLAN}
      FROM devices d
      JOIN tenants t ON t.tenant_id = d.tenant_id
      LEFT JOIN certificates c ON c.tenant_id = d.tenant_id AND c.device_id = d.device_id
      LEFT JOIN issuers i ON i.issuer_id = c.issuer_id
           {ways_in.PLAN}
     WHERE d.tenant_id = %(tenant_id)s AND d.device_id = %(device_id)s
     ORDER BY (c.status = 'valid') DESC NULLS LAST, c.not_after DESC
     LIMIT 1
"""  # noqa: S608 -- constants of ours


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of a device without any certificate both are None."""

    holder: DeviceCertificate | None
    standing: Standing | None


async def find_standings(tx: Tx, fingerprints: Sequence[bytes]) -> dict[bytes, Standing]:
    """Return what is known, by fingerprint; nothing for a certificate that we never issued."""
    rows = await tx.all(_STANDINGS, {"fingerprints": list(fingerprints)})
    return {bytes(row["fingerprint_sha256"]): _standing(row) for row in rows}


async def find_credentials(tx: TenantTx, device_id: UUID) -> Credentials | None:
    """Return what a device has to show; None when there is no such device."""
    row = await tx.one_or_none(_CERTIFICATE, {"tenant_id": tx.tenant, "device_id": device_id})
    if row is None:
        return None
    if row["serial_number"] is None:
        return Credentials(None, None)
    holder = DeviceCertificate(
        tenant=TenantId(row["tenant_id"]),
        device=row["device_id"],
        fingerprint=bytes(row["fingerprint_sha256"]),
        serial_number=row["serial_number"],
        not_before=row["not_before"],
        not_after=row["not_after"],
    )
    return Credentials(holder, _standing(row))


def _standing(row: Row) -> Standing:
    return Standing(
        tenant=row["tenant_id"],
        device=row["device_id"],
        issuer=row["issuer_id"],
        certificate_valid=row["certificate_valid"],
        issuer_active=row["issuer_active"],
        device_active=row["device_active"],
        tenant_active=row["tenant_active"],
        awaits_first_use=row["awaits_first_use"],
        in_plan=row["in_plan"],
    )
