"""The operations of /api/v2 about routes and deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot import route_models as models
from ui_iot.operations import Operation
from ui_iot.people import ADMINISTRATORS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic import BaseModel
    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.identity import Principal
    from ui_iot.route_api import RouteApi

ROUTES = "/api/v2/routes"
ROUTE = f"{ROUTES}/{{route_id}}"


def route_operations(api: RouteApi) -> list[Operation]:
    return [*_reading(api), *_changing(api), *_acting(api)]


def _reading(api: RouteApi) -> list[Operation]:
    return [
        Operation(
            name="listEventTypes",
            summary="What a route can ask for",
            method="GET",
            path="/api/v2/event-types",
            roles=ADMINISTRATORS,
            handler=api.event_types,
            headers=("If-None-Match",),
            answers={200: models.EventTypesAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="listRoutes",
            summary="Where the tenant's readings and events are sent",
            method="GET",
            path=ROUTES,
            roles=ADMINISTRATORS,
            handler=api.routes,
            headers=("If-None-Match",),
            answers={200: models.RoutesAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="getRoute",
            summary="One route",
            method="GET",
            path=ROUTE,
            roles=ADMINISTRATORS,
            handler=api.route,
            headers=("If-None-Match",),
            answers={200: models.RouteAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="listDeliveries",
            summary="The delivery log: each attempt, page by page",
            method="GET",
            path="/api/v2/deliveries",
            roles=ADMINISTRATORS,
            handler=api.deliveries,
            query=models.DeliveriesQuery,
            headers=("If-None-Match",),
            answers={200: models.DeliveriesAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="listRouteDeadLetters",
            summary="What could not be delivered by a route, page by page",
            method="GET",
            path=f"{ROUTE}/dead-letters",
            roles=ADMINISTRATORS,
            handler=api.dead_letters,
            query=models.RouteDeadLettersQuery,
            headers=("If-None-Match",),
            answers={200: models.RouteDeadLettersAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="getRouteDeadLetter",
            summary="One dead letter, as it would have been sent",
            method="GET",
            path=f"{ROUTE}/dead-letters/{{delivery_id}}",
            roles=ADMINISTRATORS,
            handler=api.dead_letter,
            headers=("If-None-Match",),
            answers={200: models.RouteDeadLetterShownAnswer, 304: None},
            answer_headers=("ETag",),
        ),
    ]


def _changing(api: RouteApi) -> list[Operation]:
    return [
        Operation(
            name="createRoute",
            summary="Add a route; its secret is shown this once, and it delivers once it is verified",
            method="POST",
            path=ROUTES,
            roles=ADMINISTRATORS,
            handler=api.create,
            headers=("Idempotency-Key",),
            body=models.RouteBody,
            answers={201: models.CreatedRouteAnswer},
            answer_headers=("Location", "Idempotency-Replayed"),
            refusals=frozenset({409, 422}),
        ),
        Operation(
            name="changeRoute",
            summary="Replace what a route does; another URL has to be verified anew",
            method="PUT",
            path=ROUTE,
            roles=ADMINISTRATORS,
            handler=api.change,
            headers=("If-Match",),
            body=models.RouteBody,
            answers={200: models.RouteAnswer},
            answer_headers=("ETag",),
            refusals=frozenset({412, 428}),
        ),
        Operation(
            name="deleteRoute",
            summary="Delete a route, its log and its dead letters",
            method="DELETE",
            path=ROUTE,
            roles=ADMINISTRATORS,
            handler=api.delete,
            answers={204: None},
        ),
    ]


def _acting(api: RouteApi) -> list[Operation]:
    return [
        _act(
            "verifyRoute",
            "verify",
            "Send the ownership challenge",
            api.verify,
            models.AttemptAnswer,
        ),
        _act("testRoute", "test", "Send one test message", api.test, models.AttemptAnswer),
        _act(
            "pauseRoute", "pause", "Stop delivering; messages wait", api.pause, models.RouteAnswer
        ),
        _act("resumeRoute", "resume", "Deliver again", api.resume, models.RouteAnswer),
        _act("rotateRouteSecret", "secret", "Make another secret", api.rotate, models.SecretAnswer),
        Operation(
            name="replayDeadLetters",
            summary="Deliver dead letters anew, one or those of a time",
            method="POST",
            path=f"{ROUTE}/replay",
            roles=ADMINISTRATORS,
            handler=api.replay,
            body=models.ReplayBody,
            answers={200: models.ReplayedAnswer},
            refusals=frozenset({409}),
        ),
    ]


def _act(
    name: str,
    verb: str,
    summary: str,
    handler: Callable[[Request, Principal], Awaitable[Response]],
    shown: type[BaseModel],
) -> Operation:
    return Operation(
        name=name,
        summary=summary,
        method="POST",
        path=f"{ROUTE}/{verb}",
        roles=ADMINISTRATORS,
        handler=handler,
        answers={200: shown},
        refusals=frozenset({409}),
    )
