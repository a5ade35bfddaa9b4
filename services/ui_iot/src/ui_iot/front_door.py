"""Whose log-ins are let in: of an active tenant everybody's; of one that is being deleted its administrators'.

Every page and operation asks the tenant's row as well; this spares people a session in which nothing works, and says
why.  A tenant that has no row is no affair of this door: its people are signed in, and refused by all else.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from pulse_common import audit
from pulse_common.errors import Forbidden
from ui_iot import archive_store
from ui_iot.own_archive import PAGE as ARCHIVE
from ui_iot.people import ADMINISTRATORS
from ui_iot.sessions import session_act

if TYPE_CHECKING:
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database
    from ui_iot.archive_store import Known
    from ui_iot.visits import Visit


class TenantShut(Forbidden):
    """Whoever they are, their tenant lets nobody of them in now."""

    title: ClassVar[str] = "You cannot log in now"


@dataclasses.dataclass(frozen=True, slots=True)
class FrontDoor:
    db: Database

    async def admit(self, principal: Principal, visit: Visit, wanted: str) -> str:
        """Return the path that a log-in leads to: ``wanted``, or the one that is left.

        Raises:
            TenantShut: their tenant's log-ins are refused; its audit log says who tried.
        """
        if principal.tenant is None:
            return wanted
        async with self.db.tenant_connection(principal.tenant) as tx:
            known = await archive_store.find_tenant(tx)
            if known is None or known.status == "active":
                return wanted
            if known.status == "deleting" and not ADMINISTRATORS.isdisjoint(principal.roles):
                return ARCHIVE
            act = session_act(principal, "session.begin", visit)
            await audit.record(
                tx, dataclasses.replace(act, outcome="denied", reason=f"tenant is {known.status}")
            )
        raise TenantShut(_why(known))


def _why(known: Known) -> str:
    match known.status:
        case "suspended":
            return (
                f"{known.name} is suspended, and nobody of it can log in until it is resumed. Nothing was deleted. "
                "Your administrator can ask whoever runs Pulse for you"
            )
        case "deleting":
            return f"{known.name} is being deleted; only its administrators still log in, to take everything with them"
        case _:
            return "your tenant is deleted"
