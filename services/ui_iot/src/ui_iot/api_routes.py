"""Every operation of /api/v2, on one screen; ``routes.py`` serves these and ``openapi.py`` describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_common.http import Endpoint, Open
from ui_iot import api_models as models
from ui_iot.alert_api import AlertApi
from ui_iot.alert_operations import alert_operations
from ui_iot.alert_work import AlertWork
from ui_iot.audit_operations import audit_operations
from ui_iot.billing_links import TenantBilling
from ui_iot.fleet.asking import Asking
from ui_iot.fleet.operations import fleet_operations
from ui_iot.gate_operations import gate_operations
from ui_iot.group_api import GroupApi
from ui_iot.group_operations import group_operations
from ui_iot.group_work import GroupWork
from ui_iot.handover_api import HandoverApi
from ui_iot.handover_operations import handover_operations
from ui_iot.openapi import describe
from ui_iot.operations import Operation
from ui_iot.people import ADMINISTRATORS, EVERYBODY
from ui_iot.route_api import RouteApi
from ui_iot.route_operations import route_operations
from ui_iot.route_work import RouteWork
from ui_iot.session_operations import session_operations
from ui_iot.team_operations import team_operations
from ui_iot.telemetry_api import TelemetryApi
from ui_iot.telemetry_operations import telemetry_operations
from ui_iot.tenant_billing_api import TenantBillingApi, billing_operations

if TYPE_CHECKING:
    from ui_iot.api import Api
    from ui_iot.audit_trail import AuditTrail
    from ui_iot.changes import Changes
    from ui_iot.gate_api import GateApi
    from ui_iot.session_api import SessionApi
    from ui_iot.team_api import TeamApi

ROOT = "/api/v2"
DEVICES = f"{ROOT}/devices"
DEVICE = f"{DEVICES}/{{device_id}}"


def api_endpoints(
    api: Api,
    changes: Changes,
    sessions: SessionApi,
    team: TeamApi,
    gate: GateApi,
    audit_trail: AuditTrail,
) -> list[Endpoint]:
    over_time = TelemetryApi(db=api.db, clock=api.clock)
    about_devices = [
        *operations(api, changes),
        *gate_operations(gate),
        *telemetry_operations(over_time),
        *handover_operations(HandoverApi(db=api.db, bus=api.bus, clock=api.clock)),
    ]
    offered = [
        *about_devices,
        *session_operations(sessions),
        *team_operations(team),
        *audit_operations(audit_trail),
        *route_operations(
            RouteApi(work=RouteWork(db=changes.db, bus=changes.bus), once=changes.once)
        ),
        *group_operations(
            GroupApi(work=GroupWork(db=changes.db, bus=changes.bus), once=changes.once)
        ),
        *alert_operations(
            AlertApi(work=AlertWork(db=changes.db, bus=changes.bus), once=changes.once)
        ),
        *fleet_operations(
            Asking(db=changes.db, bus=changes.bus, clock=changes.clock, once=changes.once)
        ),
        *billing_operations(
            TenantBillingApi(
                db=changes.db,
                billing=TenantBilling(
                    bus=changes.bus, db=changes.db, directory=team.team.directory
                ),
            )
        ),
    ]
    document = Open(
        method="GET",
        path=f"{ROOT}/openapi.json",
        why="says how to ask, and nothing of anybody",
        handler=describe(offered).show,
    )
    return [document, *(operation.endpoint() for operation in offered)]


def operations(api: Api, changes: Changes) -> list[Operation]:
    return [*_reading(api), *_changing(changes), *_acting(api)]


def _reading(api: Api) -> list[Operation]:
    return [
        Operation(
            name="listDevices",
            summary="The devices, page by page",
            method="GET",
            path=DEVICES,
            roles=EVERYBODY,
            handler=api.devices,
            query=models.DevicesQuery,
            headers=("If-None-Match",),
            answers={200: models.DevicesAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="getDevice",
            summary="One device",
            method="GET",
            path=DEVICE,
            roles=EVERYBODY,
            handler=api.device,
            headers=("If-None-Match",),
            answers={200: models.DeviceAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="getTelemetry",
            summary="The newest 2000 readings of a device",
            method="GET",
            path=f"{DEVICE}/telemetry",
            roles=EVERYBODY,
            handler=api.telemetry,
            query=models.TelemetryQuery,
            headers=("If-None-Match",),
            answers={200: models.TelemetryAnswer, 304: None},
            answer_headers=("ETag",),
        ),
    ]


def _changing(changes: Changes) -> list[Operation]:
    return [
        Operation(
            name="createDevice",
            summary="Add a device, and mint its first one-time enrolment token",
            method="POST",
            path=DEVICES,
            roles=ADMINISTRATORS,
            handler=changes.create,
            headers=("Idempotency-Key",),
            body=models.CreateDeviceBody,
            answers={201: models.CreatedAnswer},
            answer_headers=("Location", "Idempotency-Replayed"),
            refusals=frozenset({404, 409, 422}),
        ),
        Operation(
            name="renameDevice",
            summary="Give a device another name",
            method="PATCH",
            path=DEVICE,
            roles=ADMINISTRATORS,
            handler=changes.rename,
            headers=("If-Match",),
            body=models.RenameDeviceBody,
            answers={200: models.DeviceAnswer},
            answer_headers=("ETag",),
            refusals=frozenset({412, 428}),
        ),
    ]


def _acting(api: Api) -> list[Operation]:
    return [
        Operation(
            name="revokeDevice",
            summary="Revoke a device's certificates and cut it off",
            method="POST",
            path=f"{DEVICE}/revoke",
            roles=ADMINISTRATORS,
            handler=api.revoke,
            body=models.RevokeBody,
            answers={200: models.RevokedAnswer},
            refusals=frozenset({409}),
        ),
        Operation(
            name="commandDevice",
            summary="Send a device one command, now",
            method="POST",
            path=f"{DEVICE}/commands",
            roles=ADMINISTRATORS,
            handler=api.command,
            body=models.CommandBody,
            answers={202: models.CommandAnswer},
            refusals=frozenset({409}),
        ),
    ]
