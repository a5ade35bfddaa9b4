"""Wiring of the audit log: the tenant's own view of it, and what it notes of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot.audit_trail import AuditTrail
from ui_iot.audit_views import observed
from ui_iot.own_archive import OwnArchive

if TYPE_CHECKING:
    from pulse_common.http import Endpoint
    from ui_iot.callers import Callers
    from ui_iot.wiring.made import Parts


def trail(made: Parts, callers: Callers) -> AuditTrail:
    archive = OwnArchive(db=made.db, callers=callers, clock=made.clock)
    return AuditTrail(db=made.db, callers=callers, clock=made.clock, archive=archive)


def noted(endpoints: list[Endpoint], made: Parts, callers: Callers) -> list[Endpoint]:
    """Have views recorded, where there is a folder for the spool."""
    if made.observer is None:
        return endpoints
    return observed(endpoints, made.observer, callers.visit_of)
