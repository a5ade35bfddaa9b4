"""Device tokens: who may connect with one, and as whom.  Pure rules, no input or output.

A token counts on one listener only, which asks for no certificate; there nothing else counts.  So a token never stands
in for a certificate, and a session that came with one may not ask for a certificate.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mqtt_authz.domain import Admitted, Connect, Whose
from mqtt_authz.reasons import Denied, Reason

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from pulse_common.identity import TenantId

ZONE = "device_token"
"""The broker's name of the listener: its configuration, never the client's word."""
PREFIX = "pdt_"
LENGTH = len(PREFIX) + 43
"""base64url of 256 bits, without padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStanding:
    """What the database says of a token, its device and its tenant."""

    tenant: TenantId
    device: UUID
    token: UUID
    expires_at: datetime
    revoked: bool
    tokens_allowed: bool
    device_active: bool
    tenant_active: bool
    in_plan: bool


def digest_of(connect: Connect) -> bytes | Denied:
    """Return what to look the shown token up by: SHA-256, because nobody guesses 256 random bits."""
    if connect.certificate is not None:
        return Denied(Reason.CERTIFICATE_NOT_WANTED)
    text = connect.password
    if len(text) != LENGTH or not text.startswith(PREFIX) or not text.isascii():
        return Denied(Reason.TOKEN_UNKNOWN)
    return hashlib.sha256(text.encode()).digest()


def admit(connect: Connect, standing: TokenStanding | None, now: datetime) -> Admitted | Denied:
    """Let the holder of a token in, under the names of the token's own device."""
    if standing is None:
        return Denied(Reason.TOKEN_UNKNOWN)
    refused = _check_names(connect, standing)
    return refused or admit_own(standing, now)


def admit_own(standing: TokenStanding, now: datetime) -> Admitted | Denied:
    """Let in a device that shows the token under its own names."""
    refused = _speaks_against(standing, now)
    if refused is not None:
        return refused
    whose = Whose(standing.tenant, standing.device, str(standing.token))
    return Admitted(whose, "", int(standing.expires_at.timestamp()), by_token=True)


def _check_names(connect: Connect, standing: TokenStanding) -> Denied | None:
    device = str(standing.device)
    if connect.client_id != device:
        return Denied(Reason.CLIENT_ID_MISMATCH, f"client id {connect.client_id[:64]!r}")
    # Not the device's id alone: by the slash an act of this session is told from one of a certificate's (acl.py).
    if connect.username != f"{standing.tenant}/{device}":
        return Denied(Reason.USERNAME_MISMATCH, f"user name {connect.username[:80]!r}")
    return None


def _speaks_against(standing: TokenStanding, now: datetime) -> Denied | None:
    checks = (
        (standing.revoked, Reason.TOKEN_REVOKED),
        (int(standing.expires_at.timestamp()) <= now.timestamp(), Reason.TOKEN_EXPIRED),
        (not standing.tokens_allowed, Reason.TOKENS_NOT_ALLOWED),
        (not standing.tenant_active, Reason.TENANT_SUSPENDED),
        (not standing.device_active, Reason.DEVICE_DISABLED),
        (not standing.in_plan, Reason.BEYOND_PLAN),
    )
    return next((Denied(reason) for against, reason in checks if against), None)
