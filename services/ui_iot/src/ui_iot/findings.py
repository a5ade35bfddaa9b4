"""What is wrong in a fleet, in words, with what to do about it; no input or output.

After AWS IoT Device Defender's audit checks.  Of its over-broad permissions, topics cannot be among them here: nobody
writes a device's list, it is made from the device's own ids (mqtt_authz/acl.py; its tests prove that no name reaches
beyond them).  What a tenant can make broader than it need be is how a device gets in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ui_iot.finding_store import Found

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
    "in_two_places": (
        "Its certificate or token is used from two places at once, or comes back all the time: {}",
        "Find out who has a copy; revoke it, and enrol the device with a new key. If it is one device, mend its link",
    ),
    "weak_key": ("Its key is weak: {}", "Revoke it, and enrol the device with a P-256 key"),
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
    "two_ways_in": (
        "It may come by its certificate and by {} good token(s): whoever has either is the device",
        "Revoke its tokens, if it can hold a key",
    ),
    "unused_permission": (
        "It may come by token, and has none that counts",
        "Turn its switch for tokens off until it needs one",
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
