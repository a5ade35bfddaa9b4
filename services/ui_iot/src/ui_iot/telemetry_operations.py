"""The operations of /api/v2 about readings, and about what was refused, limited and commanded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot import telemetry_models as models
from ui_iot.operations import Operation
from ui_iot.people import EVERYBODY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pydantic import BaseModel
    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.identity import Principal
    from ui_iot.api_models import Query
    from ui_iot.telemetry_api import TelemetryApi

    Handler = Callable[[Request, Principal], Awaitable[Response]]

ROOT = "/api/v2"
DEVICE = f"{ROOT}/devices/{{device_id}}"


def telemetry_operations(api: TelemetryApi) -> list[Operation]:
    return [
        _reading(
            ("listReadings", "Readings of a device in a range of time, page by page"),
            f"{DEVICE}/readings",
            api.readings,
            {200: models.ReadingsAnswer},
            models.ReadingsQuery,
        ),
        _reading(
            ("aggregateReadings", "Minimum, average and maximum of a metric in buckets of time"),
            f"{DEVICE}/readings/buckets",
            api.buckets,
            {200: models.BucketsAnswer},
            models.BucketsQuery,
        ),
        _reading(
            ("exportReadings", "Readings of a device as a file"),
            f"{DEVICE}/readings/export",
            api.export,
            {200: None},
            models.ExportQuery,
        ),
        _reading(
            ("listDeviceDeadLetters", "Messages of a device that were refused, and why"),
            f"{DEVICE}/dead-letters",
            api.device_dead_letters,
            {200: models.DeadLettersAnswer},
            models.PageQuery,
        ),
        _reading(
            ("listDeadLetters", "Messages of all devices that were refused, and why"),
            f"{ROOT}/dead-letters",
            api.dead_letters,
            {200: models.DeadLettersAnswer},
            models.PageQuery,
        ),
        _reading(
            ("listDeviceLimits", "What a device sent over a limit, its tenant's included"),
            f"{DEVICE}/limits",
            api.device_limits,
            {200: models.LimitsAnswer},
        ),
        _reading(
            ("listLimits", "What was over a limit: which, since when, how much, until when"),
            f"{ROOT}/limits",
            api.limits,
            {200: models.LimitsAnswer},
        ),
        _reading(
            ("listCommands", "Commands to a device, and what became of them"),
            f"{DEVICE}/commands",
            api.commands,
            {200: models.CommandsAnswer},
            models.PageQuery,
        ),
    ]


def _reading(
    named: tuple[str, str],
    path: str,
    handler: Handler,
    answers: Mapping[int, type[BaseModel] | None],
    query: type[Query] | None = None,
) -> Operation:
    name, summary = named
    return Operation(
        name=name,
        summary=summary,
        method="GET",
        path=path,
        roles=EVERYBODY,
        handler=handler,
        query=query,
        answers=answers,
    )
