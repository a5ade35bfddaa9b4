"""Wiring of what concerns fleets: who answers which call, and what runs beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision_api.fleet.credentials import Credentials
from provision_api.fleet.enrolment_profiles import EnrolmentProfiles
from provision_api.fleet.importing import Importer
from provision_api.fleet.imports import Imports
from provision_api.fleet.profiles import Profiles
from pulse_common import events_fleet, events_profiles
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    from provision_api.administrators import Administrators
    from pulse_common.bus import Bus
    from pulse_common.tenancy import Database


async def answer(bus: Bus, database: Database, administrators: Administrators) -> None:
    """Answer ui_iot."""
    await _answer_profiles(bus, database, administrators)
    fleets = EnrolmentProfiles(db=database, administrators=administrators)
    await bus.answer(events_fleet.CreateEnrolmentProfileRequest, fleets.create)
    await bus.answer(events_fleet.ChangeEnrolmentProfileRequest, fleets.change)
    await bus.answer(events_fleet.DeleteEnrolmentProfileRequest, fleets.delete)
    shown = Credentials(db=database, bus=bus, clock=system_clock, administrators=administrators)
    await bus.answer(events_fleet.IssueClaimCertificateRequest, shown.issue_claim)
    await bus.answer(events_fleet.RevokeClaimCertificateRequest, shown.revoke_claim)
    await bus.answer(events_fleet.RegisterHardwareRequest, shown.register)
    await bus.answer(events_fleet.DecideHardwareRequest, shown.decide)
    imports = Imports(db=database, clock=system_clock, administrators=administrators)
    await bus.answer(events_fleet.CreateImportRequest, imports.create)
    await bus.answer(events_fleet.SendImportPartRequest, imports.send)
    await bus.answer(events_fleet.ActOnImportRequest, imports.act)
    await bus.answer(events_fleet.ImportTokensRequest, imports.tokens)


async def work_imports_off(database: Database) -> None:
    await Importer(db=database, clock=system_clock).run()


async def _answer_profiles(bus: Bus, database: Database, administrators: Administrators) -> None:
    profiles = Profiles(db=database, bus=bus, clock=system_clock, administrators=administrators)
    await bus.answer(events_profiles.CreateProfileRequest, profiles.create)
    await bus.answer(events_profiles.ChangeProfileRequest, profiles.change)
    await bus.answer(events_profiles.DeleteProfileRequest, profiles.delete)
    await bus.answer(events_profiles.AssignProfileRequest, profiles.assign)
