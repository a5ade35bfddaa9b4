"""Rules of what people see and may do: a device's status, where a log-in may lead.  No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from uuid import UUID

    from pulse_common.events import MetricValue

Status = Literal["live", "offline", "never", "cut_off"]
CertificateState = Literal["active", "revoked", "expired"]

HOME = "/devices"
LONGEST_PATH = 1000
"""It travels in a cookie, and browsers drop cookies over 4 KiB."""

LIVE_FOR = timedelta(seconds=30)
"""A device counts as live for this long after its last message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    serial_number: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revocation_reason: str | None
    session_cut_at: datetime | None

    def state(self, now: datetime) -> CertificateState:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if now >= self.expires_at else "active"


@dataclass(frozen=True, slots=True)
class CutOff:
    """When a device was cut off, and after how many milliseconds nothing of it was left (None: not yet)."""

    at: datetime
    after_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """``certificate`` is the newest one; ``latest`` its last readings; ``version`` counts changes by people."""

    id: UUID
    name: str
    created_at: datetime
    last_seen_at: datetime | None
    latest: dict[str, MetricValue]
    version: int
    certificate: Certificate | None

    def status(self, now: datetime) -> Status:
        if self.certificate is not None and self.certificate.revoked_at is not None:
            return "cut_off"
        if self.last_seen_at is None:
            return "never"
        return "live" if now - self.last_seen_at <= LIVE_FOR else "offline"

    def cut_off(self) -> CutOff | None:
        if self.certificate is None or self.certificate.revoked_at is None:
            return None
        at, gone_at = self.certificate.revoked_at, self.certificate.session_cut_at
        after = None if gone_at is None else max(0, round((gone_at - at).total_seconds() * 1000))
        return CutOff(at, after)


def local_path(wanted: str | None) -> str:
    r"""Return where a log-in leads: a path of this site, never another one.

    Browsers read ``//host`` and ``/\host`` as another site and skip control characters, so anything but a plain path
    becomes the device list.
    """
    if wanted is None or len(wanted) > LONGEST_PATH:
        return HOME
    if not wanted.startswith("/") or wanted.startswith("//") or "\\" in wanted:
        return HOME
    if not wanted.isascii() or not wanted.isprintable():
        return HOME
    parts = urlsplit(wanted)
    if parts.scheme or parts.netloc or parts.path.startswith("/auth/"):
        return HOME
    return wanted
