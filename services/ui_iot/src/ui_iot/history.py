"""A device's history, in words: audit rows become lines that a person reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pulse_common.identity import Principal
    from ui_iot.store import Act

Tone = Literal["good", "bad", ""]

_WORDS: dict[str, tuple[str, Tone]] = {
    "device.create": ("Device created", ""),
    "device.enrol": ("Device enrolled", "good"),
    "certificate.issue": ("Certificate issued", "good"),
    "certificate.revoke": ("Certificate revoked", "bad"),
    "enrolment_token.mint": ("Enrolment token made", ""),
    "device.session_cut": ("Session cut, confirmed by the broker", "bad"),
    "session.cut": ("Session cut, confirmed by the broker", "bad"),
    "device_token.permit": ("Tokens for the broker allowed or forbidden", ""),
    "device_token.mint": ("Token for the broker made", ""),
    "device_token.revoke": ("Token for the broker revoked", "bad"),
    "device.rescue_open": ("Rescue approved", ""),
    "device.rescue_close": ("Approval of a rescue taken back", ""),
    "device.rescue": ("Rescued: the next certificate for the same key", "good"),
    "device.transfer_offer": ("Offered to another tenant", ""),
    "device.transfer_withdraw": ("Offer taken back", ""),
    "device.transfer_expire": ("Offer expired", ""),
    "device.transfer_decline": ("Offer declined by the other tenant", ""),
    "device.transfer_accept": ("Changed its tenant", ""),
    "device.command": ("Command sent", ""),
}


@dataclass(frozen=True, slots=True)
class Line:
    at: datetime
    text: str
    actor: str | None
    tone: Tone


def lines(acts: Sequence[Act], viewer: Principal) -> list[Line]:
    """Put acts into words; an action without words of its own shows its name."""
    return [_line(act, viewer) for act in acts]


def _line(act: Act, viewer: Principal) -> Line:
    text, tone = _WORDS.get(act.action, (act.action.replace(".", " ").replace("_", " "), ""))
    if act.outcome != "success":
        text, tone = f"{text}: {act.outcome}", "bad"
    return Line(act.at, text, _actor(act, viewer), tone)


def _actor(act: Act, viewer: Principal) -> str | None:
    if act.actor_id == viewer.subject:
        return "by you"
    names = {
        "user": "by a colleague",
        "operator": "by Pulse",
        "service": "by Pulse",
        "device": "by the device",
    }
    return names.get(act.actor_kind)
