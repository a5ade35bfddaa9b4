"""What is wrong in a fleet, in words, with what to do about it; no input or output.

After AWS IoT Device Defender's audit checks.  Its check for over-broad permissions has nothing to look at here: a
device's permissions are not written by anybody but made from its own ids (mqtt_authz/acl.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ui_iot.gate_store import Found, Held

LEAST_RSA_BITS = 2048
LEAST_CURVE_BITS = 256
WEAK_KEY = ("The key is weak: {}", "Revoke it, and enrol the device with a P-256 key")
# Worst first: this is the order in which they are shown.
CHECKS = {
    "revoked_but_connected": (
        "Its certificate is revoked, and the broker has not confirmed that nothing of it is left, or it spoke since",
        "Wait a minute; if it stays, ask an operator: the broker may be unreachable",
    ),
    "shared_key": (
        "It has the same key as {}: either could pass for the other",
        "Revoke both, and enrol each with a key made on the device itself",
    ),
    "weak_key": WEAK_KEY,
    "conflicting_client_ids": (
        "Its certificate came {} times today with another device's name: it may be in two places",
        "Find out who has a copy of the key; if in doubt, revoke",
    ),
    "expired": ("Its certificate expired on {}", "Enrol it again, or retire the device"),
    "expiring": (
        "Its certificate expires on {}",
        "See why the device does not renew; else enrol it again",
    ),
    "often_refused": (
        "It was refused {} times today",
        "Look at its refusals, and mend its software or its enrolment",
    ),
    "never_connected": (
        "It has had a certificate since {}, and was never heard of",
        "Find out where the device is; if nobody knows, revoke",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    device_id: UUID
    device_name: str
    text: str
    act: str


def describe(found: Iterable[Found]) -> list[Finding]:
    order = list(CHECKS)
    known = [one for one in found if one.check in CHECKS]
    return [
        Finding(
            one.check,
            one.device_id,
            one.device_name,
            CHECKS[one.check][0].format(one.value),
            CHECKS[one.check][1],
        )
        for one in sorted(known, key=lambda one: order.index(one.check))
    ]


def weakness(held: Held) -> str | None:
    """Say what is weak in a certificate's key; None when nothing is."""
    try:
        key = x509.load_der_x509_certificate(held.der).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "it cannot be read"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA of {key.key_size} bits" if key.key_size < LEAST_RSA_BITS else None
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"a curve of {key.key_size} bits" if key.key_size < LEAST_CURVE_BITS else None
    return None if isinstance(key, ed25519.Ed25519PublicKey) else "of an unusual kind"
