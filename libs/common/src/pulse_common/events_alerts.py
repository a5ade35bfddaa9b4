"""What crosses NATS about alerts: ui_iot asks ingest_worker, which judges readings by the rules and tells.

``tenant_id`` and ``actor_id`` were verified by ui_iot, the one NATS user that may publish on these subjects.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from pulse_common.events import Call, Event, Wire

RuleKind = Literal["threshold", "rate", "absence"]
Direction = Literal["above", "below"]
ClearReason = Literal["recovered", "rule_changed", "device_gone"]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e308, le=1e308)]


class AlertRaised(Event):
    """A device has met a rule: told once for each stretch in which it does."""

    subject = "pulse.events.alert.raised"
    alert_id: UUID
    rule_id: UUID
    rule: str
    kind: RuleKind
    device_id: UUID
    metric: str | None
    value: float | None
    raised_at: datetime


class AlertCleared(Event):
    """The stretch is over, or nobody looks for it any more."""

    subject = "pulse.events.alert.cleared"
    alert_id: UUID
    rule_id: UUID
    rule: str
    kind: RuleKind
    device_id: UUID
    metric: str | None
    raised_at: datetime
    cleared_at: datetime
    reason: ClearReason


class AlertRulesChanged(Event):
    """For the replicas of ingest_worker: what they keep of a tenant's rules is old."""

    subject = "pulse.events.alert.rules_changed"
    rule_id: UUID


class RuleWanted(Wire):
    """What a tenant decides about a rule; ``ingest_worker.alerts.rules.checked`` says what belongs together."""

    name: str
    kind: RuleKind
    device_ids: list[UUID] = Field(default_factory=list, max_length=500)
    group_ids: list[UUID] = Field(default_factory=list, max_length=50)
    metric: str | None = None
    direction: Direction | None = None
    raise_at: Finite | None = None
    """A value, or for ``rate`` a change a minute."""
    clear_at: Finite | None = None
    hold_seconds: int = 0
    silent_seconds: int | None = None
    by_mail: bool = False
    enabled: bool = True


class RuleCall(Call):
    tenant_id: UUID
    actor_id: str
    rule_id: UUID
    request_id: str | None = None


class CreateRuleRequest(RuleCall):
    """Make a rule; repeated with its id it changes nothing."""

    rpc = "pulse.rpc.ingest_worker.create_alert_rule"
    wanted: RuleWanted


class ChangeRuleRequest(RuleCall):
    """Replace what was decided; what is raised by the rule is cleared.  ``version`` None overwrites any."""

    rpc = "pulse.rpc.ingest_worker.change_alert_rule"
    wanted: RuleWanted
    version: int | None


class DeleteRuleRequest(RuleCall):
    """Delete a rule; what it raised stays in the history, cleared."""

    rpc = "pulse.rpc.ingest_worker.delete_alert_rule"


class RuleReply(Wire):
    rule_id: UUID
    version: int


class AcknowledgeRequest(Call):
    """Note that somebody takes care; the first one stands."""

    rpc = "pulse.rpc.ingest_worker.acknowledge_alert"
    tenant_id: UUID
    actor_id: str
    alert_id: UUID
    request_id: str | None = None


class AcknowledgeReply(Wire):
    alert_id: UUID
    acknowledged_at: datetime
