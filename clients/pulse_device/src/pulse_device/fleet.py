"""Enrolment as one of a fleet: what the device shows instead of a token, and how long it waits for an approval."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pulse_device.errors import RefusedError, UsageError
from pulse_device.provisioning import HeldError, request_by_fleet, request_certificate

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from pulse_device.journal import Writer
    from pulse_device.provisioning import Enrolment

_LABEL = re.compile(r"[0-9a-f-]{36}\.[a-z0-9][a-z0-9-]{0,39}")
_HARDWARE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
LONGEST_PAUSE_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class WithToken:
    server: str
    token: str
    tls: ssl.SSLContext

    def ask(self, request_pem: str) -> Enrolment:
        return request_certificate(
            server=self.server, token=self.token, request_pem=request_pem, tls=self.tls
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WithFleet:
    """``proof`` is the hardware id's secret, or the label that knows its maker's key; TLS shows a claim certificate."""

    server: str
    hardware_id: str
    tls: ssl.SSLContext
    proof: dict[str, str]
    wait_seconds: float
    tell: Writer
    sleep: Callable[[float], None] = field(default=time.sleep)
    monotonic: Callable[[], float] = field(default=time.monotonic)

    def ask(self, request_pem: str) -> Enrolment:
        """Ask until somebody has approved it, always for the same key.

        Raises:
            RefusedError: nobody did within ``wait_seconds``.
        """
        until = self.monotonic() + self.wait_seconds
        while True:
            try:
                return request_by_fleet(
                    server=self.server,
                    hardware_id=self.hardware_id,
                    proof=self.proof,
                    request_pem=request_pem,
                    tls=self.tls,
                )
            except HeldError as held:
                pause = min(max(held.seconds, 1), LONGEST_PAUSE_SECONDS)
                if self.monotonic() + pause > until:
                    raise RefusedError("nobody has approved it yet: try again later") from None
                self.tell.write(f"waiting for an approval, asking again in {pause} s\n")
                self.sleep(pause)


def checked_label(text: str) -> str:
    if _LABEL.fullmatch(text) is None:
        raise UsageError("--label must be a tenant's id, a dot and the enrolment profile's label")
    return text


def checked_hardware_id(text: str) -> str:
    if _HARDWARE_ID.fullmatch(text) is None:
        raise UsageError("--hardware-id must be 1 to 64 letters, digits and . _ : -")
    return text
