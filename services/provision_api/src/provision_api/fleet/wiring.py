"""Wiring of what concerns fleets: who answers which call, and what runs beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision_api.fleet.profiles import Profiles
from pulse_common import events_profiles
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    from provision_api.administrators import Administrators
    from pulse_common.bus import Bus
    from pulse_common.tenancy import Database


async def answer(bus: Bus, database: Database, administrators: Administrators) -> None:
    profiles = Profiles(db=database, bus=bus, clock=system_clock, administrators=administrators)
    await bus.answer(events_profiles.CreateProfileRequest, profiles.create)
    await bus.answer(events_profiles.ChangeProfileRequest, profiles.change)
    await bus.answer(events_profiles.DeleteProfileRequest, profiles.delete)
    await bus.answer(events_profiles.AssignProfileRequest, profiles.assign)
