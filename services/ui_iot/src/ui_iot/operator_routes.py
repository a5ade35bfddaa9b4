"""The routes of operators, and of tenants who look at what operators did; ``routes.py`` has all others.

The API has a document of its own, so that what tenants' programs read does not speak of operators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_common.http import Endpoint, Guarded, Open
from pulse_common.identity import OPERATOR_ROLES, Role
from ui_iot import access_models, operator_models
from ui_iot.access_operations import access_operations, access_pages
from ui_iot.openapi import describe
from ui_iot.operations import Operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pydantic import BaseModel
    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.identity import Principal
    from ui_iot.access_handlers import AccessHandlers
    from ui_iot.operator_api import OperatorApi
    from ui_iot.operator_job_doors import JobDoors
    from ui_iot.operator_pages import OperatorPages
    from ui_iot.operator_rollovers import RolloverDoors

    Handler = Callable[[Request, Principal], Awaitable[Response]]

OPERATORS: frozenset[str] = frozenset(OPERATOR_ROLES)
WRITERS: frozenset[str] = frozenset({Role.OPERATOR_ADMIN})
API = "/api/v2/operator"
TENANTS = f"{API}/tenants"
TENANT = f"{TENANTS}/{{tenant_id}}"
PAGE = "/operator/tenants/{tenant_id}"


def operator_endpoints(
    access: AccessHandlers,
    pages: OperatorPages,
    api: OperatorApi,
    jobs: JobDoors,
    rollovers: RolloverDoors,
    billing: Sequence[Operation],
) -> list[Endpoint]:
    offered = [
        *access_operations(access),
        *_reading(api),
        *_searching(api),
        *jobs.operations(),
        *rollovers.operations(),
        *_changing(api),
        *billing,
    ]
    document = Open(
        method="GET",
        path=f"{API}/openapi.json",
        why="says how to ask, and nothing of anybody",
        handler=describe(offered).show,
    )
    return [
        *access_pages(access),
        *_console(pages),
        *jobs.pages(pages),
        *rollovers.pages(pages),
        document,
        *(operation.endpoint() for operation in offered),
    ]


def _console(pages: OperatorPages) -> list[Endpoint]:
    read, write = pages.reading, pages.writing
    return [
        _guarded("GET", "/operator/reason", OPERATORS, pages.ask_reason),
        _guarded("POST", "/operator/reason", OPERATORS, pages.give_reason),
        _guarded("GET", "/operator/tenants", OPERATORS, read(pages.tenants)),
        _guarded("POST", "/operator/tenants", WRITERS, write(pages.create)),
        _guarded("GET", PAGE, OPERATORS, read(pages.tenant)),
        _guarded("POST", PAGE, WRITERS, write(pages.act)),
        _guarded("POST", f"{PAGE}/export", WRITERS, write(pages.export_tenant)),
        _guarded("GET", f"{PAGE}/telemetry", OPERATORS, read(pages.states)),
        _guarded("POST", f"{PAGE}/grants", OPERATORS, write(pages.ask)),
        _guarded("POST", f"{PAGE}/grants/{{grant_id}}", OPERATORS, write(pages.break_glass)),
        _guarded("GET", "/operator/requests", OPERATORS, read(pages.requests)),
        _guarded("GET", "/operator/devices", OPERATORS, read(pages.devices)),
        _guarded("GET", "/operator/health", OPERATORS, read(pages.health)),
        _guarded("GET", "/operator/audit", OPERATORS, read(pages.audit)),
        _guarded("GET", "/operator/audit/export", OPERATORS, write(pages.export_audit)),
    ]


def _reading(api: OperatorApi) -> list[Operation]:
    models = operator_models
    offered: list[tuple[str, str, str, Handler, type[BaseModel]]] = [
        ("Tenants", "Every tenant", TENANTS, api.tenants, models.TenantsAnswer),
        ("Tenant", "One tenant", TENANT, api.tenant, models.TenantAnswer),
        ("States", "Newest readings", f"{TENANT}/states", api.states, models.StatesAnswer),
        ("Requests", "Requests", f"{API}/requests", api.requests, access_models.GrantsAnswer),
        ("Health", "Certificates, queues", f"{API}/health", api.health, models.HealthAnswer),
    ]
    return [
        Operation(
            name=f"operator{name}",
            summary=summary,
            method="GET",
            path=path,
            roles=OPERATORS,
            handler=handler,
            answers={200: answer},
        )
        for name, summary, path, handler, answer in offered
    ]


def _searching(api: OperatorApi) -> list[Operation]:
    models = operator_models
    return [
        Operation(
            name="operatorDevices",
            summary="Devices of all tenants by name or id",
            method="GET",
            path=f"{API}/devices",
            roles=OPERATORS,
            handler=api.devices,
            query=models.DevicesSearch,
            answers={200: models.DevicesFound},
        ),
        Operation(
            name="operatorAudit",
            summary="The audit log of all tenants",
            method="GET",
            path=f"{API}/audit",
            roles=OPERATORS,
            handler=api.trail.search,
            query=models.AuditSearch,
            answers={200: models.AuditAnswer},
        ),
        Operation(
            name="operatorExportAudit",
            summary="The audit log of all tenants as a file; needs a recent log-in",
            method="GET",
            path=f"{API}/audit/export",
            roles=OPERATORS,
            handler=api.trail.export,
            query=models.AuditExport,
            answers={200: None},
        ),
    ]


def _changing(api: OperatorApi) -> list[Operation]:
    models, ask = operator_models, access_models.AskBody
    grant = f"{TENANT}/grants/{{grant_id}}/break-glass"
    posts: list[tuple[str, str, frozenset[str], Handler, type[BaseModel] | None]] = [
        ("createTenant", TENANTS, WRITERS, api.create, models.CreateTenantBody),
        ("suspendTenant", f"{TENANT}/suspend", WRITERS, api.suspend, None),
        ("resumeTenant", f"{TENANT}/resume", WRITERS, api.resume, None),
        ("restoreTenant", f"{TENANT}/restore", WRITERS, api.restore, None),
        ("deleteTenant", f"{TENANT}/delete", WRITERS, api.delete, models.DeleteTenantBody),
        ("exportTenant", f"{TENANT}/export", WRITERS, api.export_tenant, None),
        ("askForAccess", f"{TENANT}/grants", OPERATORS, api.ask, ask),
        ("breakGlass", grant, OPERATORS, api.break_glass, None),
    ]
    made = {"createTenant", "askForAccess"}
    return [
        Operation(
            name=name,
            summary=f"{name}; needs a recent log-in",
            method="POST",
            path=path,
            roles=roles,
            handler=handler,
            body=body,
            answers={201: models.DoneAnswer} if name in made else {200: models.TenantAnswer},
            refusals=frozenset({409}),
        )
        for name, path, roles, handler, body in posts
    ]


def _guarded(method: str, path: str, roles: frozenset[str], handler: Handler) -> Guarded:
    return Guarded(method=method, path=path, roles=roles, handler=handler)
