"""The operations of /api/v2 about the audit log, and its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_common.http import Endpoint, Guarded
from ui_iot import audit_models as models
from ui_iot.operations import Operation
from ui_iot.own_archive import PAGE
from ui_iot.people import ADMINISTRATORS

if TYPE_CHECKING:
    from ui_iot.audit_trail import AuditTrail

AUDIT = "/api/v2/audit"


def audit_operations(trail: AuditTrail) -> list[Operation]:
    return [
        Operation(
            name="searchAudit",
            summary="The tenant's audit log, page by page, newest first",
            method="GET",
            path=AUDIT,
            roles=ADMINISTRATORS,
            handler=trail.search,
            query=models.AuditPageQuery,
            answers={200: models.AuditAnswer},
        ),
        Operation(
            name="exportAudit",
            summary="The audit log as a file; needs a recent log-in (401 step_up_required)",
            method="GET",
            path=f"{AUDIT}/export",
            roles=ADMINISTRATORS,
            handler=trail.export,
            query=models.AuditExportQuery,
            answers={200: None},
        ),
        Operation(
            name="takeArchive",
            summary="Everything of the tenant as a tar of JSON lines; also while it is being deleted",
            method="GET",
            path="/api/v2/archive",
            roles=ADMINISTRATORS,
            handler=trail.archive.download,
            query=models.ArchiveQuery,
            answers={200: None},
            refusals=frozenset({409}),
        ),
    ]


def audit_pages(trail: AuditTrail) -> list[Endpoint]:
    return [
        Guarded(method="GET", path="/audit", roles=ADMINISTRATORS, handler=trail.page),
        Guarded(method="GET", path="/audit/export", roles=ADMINISTRATORS, handler=trail.export),
        Guarded(method="GET", path=PAGE, roles=ADMINISTRATORS, handler=trail.archive.page),
        Guarded(
            method="GET",
            path=f"{PAGE}/download",
            roles=ADMINISTRATORS,
            handler=trail.archive.download,
        ),
    ]
