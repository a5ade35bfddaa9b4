"""Wiring of devices: their pages, their API, the gate's refusals, and the live view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot.api import Api
from ui_iot.changes import Changes
from ui_iot.gate_api import GateApi
from ui_iot.handlers import Pages
from ui_iot.limits import of_live_views
from ui_iot.once import Once
from ui_iot.routes import Devices
from ui_iot.socket import LiveSocket
from ui_iot.watching import Seats, Watching

if TYPE_CHECKING:
    from ui_iot.callers import Callers
    from ui_iot.cookies import SealedCookies
    from ui_iot.wiring.made import Parts


def handlers(made: Parts, sealed: SealedCookies) -> Devices:
    return Devices(
        pages=Pages(
            db=made.db, bus=made.bus, clock=made.clock, sealed=sealed, public_url=made.public_url
        ),
        api=Api(db=made.db, bus=made.bus, clock=made.clock),
        changes=Changes(
            db=made.db,
            bus=made.bus,
            clock=made.clock,
            once=Once(db=made.db, sealer=made.sealer, clock=made.clock),
        ),
        gate=GateApi(db=made.db, bus=made.bus, clock=made.clock),
    )


def live_view(made: Parts, callers: Callers) -> LiveSocket:
    return LiveSocket(
        hub=made.hub,
        watching=Watching(
            callers=callers,
            db=made.db,
            clock=made.clock,
            on_refused=made.on_refused,
            limiter=made.limiter,
            limit=of_live_views(made.rates),
        ),
        seats=Seats(made.live_views_per_person),
        notices=made.notices,
        pace=made.pace,
    )
