"""Wiring of the operators' part: its routes, and what runs beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_common.outbox import Relay
from ui_iot import billing_api, operator_billing
from ui_iot.access import Access
from ui_iot.access_handlers import AccessHandlers
from ui_iot.billing_api import BillingApi
from ui_iot.operator_api import OperatorApi
from ui_iot.operator_audit import OperatorAudit
from ui_iot.operator_changes import OperatorChanges
from ui_iot.operator_export import OperatorExport
from ui_iot.operator_job_doors import JobDoors
from ui_iot.operator_jobs import OperatorJobs
from ui_iot.operator_pages import OperatorPages
from ui_iot.operator_rollover_calls import Rollovers
from ui_iot.operator_rollovers import RolloverDoors
from ui_iot.operator_routes import operator_endpoints
from ui_iot.operator_who import Reasons
from ui_iot.operators import Operators
from ui_iot.purging import purge_for_ever
from ui_iot.streams import Streams

if TYPE_CHECKING:
    from pulse_common.http import Endpoint
    from pulse_common.runtime import Runtime
    from ui_iot.callers import Callers
    from ui_iot.cookies import SealedCookies
    from ui_iot.wiring.made import Parts


def endpoints(made: Parts, callers: Callers, sealed: SealedCookies) -> list[Endpoint]:
    changes = OperatorChanges(db=made.operator_db, clock=made.clock)
    export = OperatorExport(db=made.operator_db, changes=changes, clock=made.clock)
    operators, reasons = Operators(db=made.operator_db), Reasons(sealed)
    trail = OperatorAudit(db=made.operator_db, reasons=reasons, callers=callers, clock=made.clock)
    pages = OperatorPages(
        operators=operators,
        changes=changes,
        export=export,
        reasons=reasons,
        callers=callers,
        trail=trail,
    )
    return [
        *operator_endpoints(
            AccessHandlers(access=Access(db=made.db), callers=callers),
            pages,
            OperatorApi(
                operators=operators,
                changes=changes,
                export=export,
                reasons=reasons,
                callers=callers,
                trail=trail,
            ),
            JobDoors(
                jobs=OperatorJobs(db=made.operator_db, streams=Streams(made.bus)), reasons=reasons
            ),
            RolloverDoors(
                rollovers=Rollovers(made.bus, operators), reasons=reasons, callers=callers
            ),
            billing_api.operations(BillingApi(made.bus, operators, reasons)),
        ),
        *operator_billing.endpoints(made.bus, operators, pages),
    ]


def run_beside(runtime: Runtime, made: Parts) -> None:
    """Publish what operators did, purge what is due."""
    runtime.spawn("operators' events", Relay(made.operator_db, made.bus).run())
    changes = OperatorChanges(db=made.operator_db, clock=made.clock)
    runtime.spawn("purge", purge_for_ever(changes))
