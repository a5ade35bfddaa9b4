"""The operations of /api/v2 about alerts and their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot import alert_models as models
from ui_iot.operations import Operation
from ui_iot.people import ADMINISTRATORS, EVERYBODY

if TYPE_CHECKING:
    from ui_iot.alert_api import AlertApi

RULES = "/api/v2/alert-rules"
RULE = f"{RULES}/{{rule_id}}"


def alert_operations(api: AlertApi) -> list[Operation]:
    return [*_reading(api), *_changing(api)]


def _reading(api: AlertApi) -> list[Operation]:
    return [
        Operation(
            name="listAlerts",
            summary="What is raised, and what was: newest first",
            method="GET",
            path="/api/v2/alerts",
            roles=EVERYBODY,
            handler=api.alerts,
            query=models.AlertsQuery,
            headers=("If-None-Match",),
            answers={200: models.AlertsAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="listAlertRules",
            summary="The rules that raise alerts",
            method="GET",
            path=RULES,
            roles=EVERYBODY,
            handler=api.rules,
            headers=("If-None-Match",),
            answers={200: models.RulesAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="getAlertRule",
            summary="One rule",
            method="GET",
            path=RULE,
            roles=EVERYBODY,
            handler=api.rule,
            headers=("If-None-Match",),
            answers={200: models.RuleAnswer, 304: None},
            answer_headers=("ETag",),
        ),
    ]


def _changing(api: AlertApi) -> list[Operation]:
    return [
        Operation(
            name="createAlertRule",
            summary="Add a rule; it judges what comes from now on",
            method="POST",
            path=RULES,
            roles=ADMINISTRATORS,
            handler=api.create,
            headers=("Idempotency-Key",),
            body=models.RuleBody,
            answers={201: models.RuleAnswer},
            answer_headers=("Location", "Idempotency-Replayed"),
            refusals=frozenset({409, 422}),
        ),
        Operation(
            name="changeAlertRule",
            summary="Replace a rule; what it has raised is cleared",
            method="PUT",
            path=RULE,
            roles=ADMINISTRATORS,
            handler=api.change,
            headers=("If-Match",),
            body=models.RuleBody,
            answers={200: models.RuleAnswer},
            answer_headers=("ETag",),
            refusals=frozenset({412, 428}),
        ),
        Operation(
            name="deleteAlertRule",
            summary="Delete a rule; what it has raised is cleared and stays in the history",
            method="DELETE",
            path=RULE,
            roles=ADMINISTRATORS,
            handler=api.delete,
            answers={204: None},
        ),
        Operation(
            name="acknowledgeAlert",
            summary="Note that somebody takes care; the first one stands",
            method="POST",
            path="/api/v2/alerts/{alert_id}/acknowledge",
            roles=EVERYBODY,
            handler=api.acknowledge,
            answers={200: models.AcknowledgedAnswer},
        ),
    ]
