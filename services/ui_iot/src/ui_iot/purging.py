"""Purge, for ever, the tenants whose grace is over; whichever replica comes first does it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from pulse_common.errors import Unavailable
from ui_iot.operators import Operator

if TYPE_CHECKING:
    from ui_iot.operator_changes import OperatorChanges

log = structlog.get_logger(__name__)

EVERY_SECONDS = 3600.0
WHO = Operator(id="purge", name="purge", reason="the grace of a deletion is over")


async def purge_for_ever(changes: OperatorChanges) -> None:
    while True:
        try:
            purged = await changes.purge_due(WHO)
            if purged:
                log.warning("tenants_purged", tenants=purged)
        except Unavailable as error:
            log.warning("purge_waits", reason=error.message)
        await asyncio.sleep(EVERY_SECONDS)
