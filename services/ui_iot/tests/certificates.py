"""Certificates as the certificate authority leaves them in the database."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

if TYPE_CHECKING:
    from services.ui_iot.tests.rig import Rig


def add_certificate(
    rig: Rig,
    tenant: UUID,
    device: UUID,
    *,
    serial_number: str = "0a",
    revoked_at: datetime | None = None,
    after_ms: int | None = None,
    created_at: datetime | None = None,
    ends: datetime | None = None,
) -> None:
    cut_at = revoked_at + timedelta(milliseconds=after_ms) if revoked_at and after_ms else None
    rig.superuser.execute(
        """
        INSERT INTO certificates (tenant_id, certificate_id, device_id, issuer_id, serial_number, fingerprint_sha256,
                                  public_key_sha256, certificate_der, not_before, not_after, status, revoked_at,
                                  revocation_reason, session_cut_at, created_at)
        VALUES (%(tenant)s, %(id)s, %(device)s, %(issuer)s, %(serial_number)s, %(hash)s, %(hash)s, '',
                %(ends)s - interval '90 days', %(ends)s, %(status)s, %(revoked_at)s, %(reason)s, %(cut_at)s,
                %(created_at)s)
        """,
        {
            "tenant": tenant,
            "id": uuid4(),
            "device": device,
            "issuer": _issuer(rig),
            "serial_number": serial_number,
            "hash": os.urandom(32),
            "ends": ends or rig.now + timedelta(days=90),
            "status": "revoked" if revoked_at else "valid",
            "revoked_at": revoked_at,
            "reason": "superseded" if revoked_at else None,
            "cut_at": cut_at,
            "created_at": created_at or rig.now,
        },
    )


def _issuer(rig: Rig) -> UUID:
    issuer = uuid4()
    rig.superuser.execute(
        "INSERT INTO issuers (issuer_id, kind, subject, certificate_der, fingerprint_sha256, not_before, not_after)"
        " VALUES (%s, 'issuing', 'CN=test', '', %s, %s, %s)",
        [issuer, os.urandom(32), rig.now, rig.now + timedelta(days=900)],
    )
    return issuer
