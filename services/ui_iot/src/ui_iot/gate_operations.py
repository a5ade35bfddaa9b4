"""The operations of /api/v2 about the broker's gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot import gate_models as models
from ui_iot.operations import Operation
from ui_iot.people import EVERYBODY

if TYPE_CHECKING:
    from ui_iot.gate_api import GateApi

DEVICE = "/api/v2/devices/{device_id}"


def gate_operations(api: GateApi) -> list[Operation]:
    return [
        Operation(
            name="listDenials",
            summary="Why a device was refused by the broker, lately",
            method="GET",
            path=f"{DEVICE}/denials",
            roles=EVERYBODY,
            handler=api.denials,
            headers=("If-None-Match",),
            answers={200: models.DenialsAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="dryRun",
            summary="How the broker would decide about a device, and by which rule; changes nothing",
            method="POST",
            path=f"{DEVICE}/dry-run",
            roles=EVERYBODY,
            handler=api.dry_run,
            body=models.DryRunBody,
            answers={200: models.DryRunAnswer},
        ),
        Operation(
            name="listFindings",
            summary="What is wrong in the fleet, worst first, and what to do about it",
            method="GET",
            path="/api/v2/findings",
            roles=EVERYBODY,
            handler=api.findings,
            headers=("If-None-Match",),
            answers={200: models.FindingsAnswer, 304: None},
            answer_headers=("ETag",),
        ),
    ]
