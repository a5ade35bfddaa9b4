"""Hears of everything that ends trust in a device, on every replica, and knows when it may have missed something.

The events come over core NATS beside the durable consumer that ``revocation`` shares between replicas: a memory is each
replica's own.  What is live is heard once or never, so a memory counts only within one unbroken stretch of connection
whose server has answered within ``DEAF_AFTER_SECONDS``.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog

from pulse_common import events, events_rollover
from pulse_common.errors import Unavailable
from pulse_common.events_profiles import DeviceProfileChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from mqtt_authz.standings import Standings
    from pulse_common.bus import Bus

log = structlog.get_logger(__name__)

CHECK_SECONDS = 1.0
DEAF_AFTER_SECONDS = 4.0
SUBJECTS = (
    "pulse.events.cert.>",
    "pulse.events.device.>",
    "pulse.events.issuer.>",
    "pulse.events.tenant.>",
)
# Whatever is not listed ends trust, so that an event of a later release does.
HARMLESS = frozenset(
    {
        events.CertificateExpiring.subject,
        events.CertificateReleased.subject,
        events.DeviceCreated.subject,
        events.DeviceRenamed.subject,
        events.DeviceEnrolled.subject,
        events.IssuerExpiring.subject,
        events_rollover.IssuerActivated.subject,
        events_rollover.RolloverChanged.subject,
        events.DeviceTokenMinted.subject,
        events.SessionCut.subject,
    }
)


class Hearing:
    """``stretch`` is what ``Standings`` goes by."""

    def __init__(self, bus: Bus, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._monotonic = monotonic
        self._answered_at = float("-inf")

    def stretch(self) -> int | None:
        """Name the unbroken stretch of hearing that this moment belongs to; None for deafness."""
        if self._monotonic() - self._answered_at > DEAF_AFTER_SECONDS:
            return None
        return self._bus.unbroken()

    async def listen(self, standings: Standings, on_many: Callable[[], None]) -> None:
        """Forget what events speak of; ``on_many`` is told of those about more than one device."""

        async def hear(subject: str, data: bytes) -> None:
            if subject in HARMLESS:
                return
            if subject == DeviceProfileChanged.subject:
                # No certificate goes by it and no token is remembered, but sessions of tokens may have to end.
                on_many()
                return
            about = concerned(subject, data)
            if about is None:
                standings.forget_all()
            else:
                standings.forget(about)
            if not subject.startswith(("pulse.events.cert.", "pulse.events.device.")):
                on_many()

        for subject in SUBJECTS:
            await self._bus.subscribe_live(subject, hear)
        await self.check()

    async def check(self) -> None:
        """Note when the server last answered: all that it sent before has arrived."""
        asked_at = self._monotonic()
        try:
            await self._bus.check()
        except (Unavailable, TimeoutError, OSError) as error:
            log.warning("events_unheard", error=repr(error))
        else:
            self._answered_at = asked_at

    async def run(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self.check()


def concerned(subject: str, data: bytes) -> UUID | None:
    """Say whose standing an event speaks of: a device, an issuer or a tenant; None when that cannot be told."""
    try:
        fields: Any = json.loads(data)
        name = next(name for name in _names(subject) if name in fields)
        return UUID(fields[name])
    except (ValueError, TypeError, AttributeError, StopIteration, RecursionError):
        return None


def _names(subject: str) -> tuple[str, ...]:
    if subject.startswith("pulse.events.tenant."):
        return ("tenant_id",)
    return ("device_id", "issuer_id")
