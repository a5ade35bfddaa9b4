"""When an expiry is worth a word, and which word.  No I/O."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pulse_common.notices import AT_ONCE, DAILY, NoticeRaised

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

THRESHOLDS = (1, 7, 14, 30)
HALF_GONE = 0
"""The threshold of what lives for less than two days: half of its life is over, and nobody has renewed it."""
TOPIC = "certificates"
MOST_NAMED = 20
_SOON = 1
_SOON_PATIENCE = 6 * 3600


def threshold_of(begins: datetime, ends: datetime, now: datetime) -> int | None:
    """Say which threshold something has come under, if any.

    Lists and server certificates may live for hours.  Only thresholds within the second half of a life count, or each
    of them would be told of when it is made.
    """
    fitting = [days for days in THRESHOLDS if timedelta(days=days) * 2 <= ends - begins]
    if not fitting:
        return HALF_GONE if (ends - now) * 2 <= ends - begins else None
    return min((days for days in fitting if ends - now <= timedelta(days=days)), default=None)


def of_devices(
    tenant_id: UUID, now: datetime, days: int, devices: Sequence[tuple[UUID, str, datetime]]
) -> NoticeRaised:
    """Tell a tenant of its devices (certificate, name, end) that came under one threshold together."""
    one = len(devices) == 1
    what = (
        f"The certificate of {devices[0][1]} expires"
        if one
        else f"{len(devices)} certificates expire"
    )
    lines = [
        f"{name}: {not_after:%Y-%m-%d %H:%M} UTC" for _, name, not_after in devices[:MOST_NAMED]
    ]
    if len(devices) > MOST_NAMED:
        lines.append(f"and {len(devices) - MOST_NAMED} more")
    advice = (
        "A device renews by itself when it is connected. One that does not is cut off then, and needs a\n"
        "rescue or another enrolment."
    )
    return NoticeRaised(
        tenant_id=tenant_id,
        at=now,
        topic=TOPIC,
        notice_key=f"devices:{days}:{devices[0][0]}",
        title=one_line(f"{what} {_within(days)}"),
        text="\n".join([*lines, "", advice]),
        path="/expiring",
        patience_seconds=DAILY if days > _SOON else _SOON_PATIENCE,
    )


def of_platform(
    platform: UUID, now: datetime, *, key: str, what: str, days: int, ends: datetime
) -> NoticeRaised:
    """Tell operators of an issuer, a list or a server's certificate."""
    return NoticeRaised(
        tenant_id=platform,
        at=now,
        topic=TOPIC,
        notice_key=f"{key}:{days}",
        title=one_line(f"{what} expires {_within(days)}"),
        text=f"{what} expires at {ends:%Y-%m-%d %H:%M} UTC.",
        path="/operator/health",
        patience_seconds=DAILY if days > _SOON else AT_ONCE,
    )


def one_line(text: str) -> str:
    """Return what a title may be: a device's name may hold anything visible."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200]


def _within(days: int) -> str:
    if days == HALF_GONE:
        return "soon, and nobody has renewed it"
    return f"within {days} days" if days > 1 else "within a day"
