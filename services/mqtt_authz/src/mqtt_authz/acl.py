"""What a session may do once it is connected: the rules of each kind of client, and one act judged by them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from mqtt_authz import topics
from mqtt_authz.reasons import Denied, Reason
from pulse_common.identity import TenantId
from pulse_common.ids import parse_uuid

if TYPE_CHECKING:
    from uuid import UUID


class Action(StrEnum):
    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One publish, or one filter of a SUBSCRIBE, of the session of ``client_id``."""

    client_id: str
    username: str
    tenant: str
    action: Action
    topic: str
    qos: Literal[0, 1, 2]
    retain: bool
    address: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Allows one action on what one filter contains; ``retained`` lets a publish set the retain flag."""

    action: Action
    topic: str
    retained: bool = False

    def __str__(self) -> str:
        retained = " (may be retained)" if self.retained else ""
        return f"allow {self.action} {self.topic}{retained}"


@dataclass(frozen=True, slots=True)
class Allowed:
    """``rule`` is the one that allows it, in words."""

    rule: str = field(default="", compare=False)


EVERYTHING_ELSE = "deny all #"
"""The rule that ends every list."""


def device_rules(tenant: TenantId, device: UUID) -> tuple[Rule, ...]:
    """The whole of what a device may do, as literal topics made from our own UUIDs."""
    tree = f"tenant/{tenant}/device/{device}"
    return (
        Rule(Action.PUBLISH, f"{tree}/telemetry"),
        Rule(Action.PUBLISH, state_topic(tenant, device), retained=True),
        Rule(Action.PUBLISH, f"{tree}/command/ack"),
        Rule(Action.PUBLISH, f"{tree}/cert/renew"),
        Rule(Action.SUBSCRIBE, f"{tree}/command"),
        Rule(Action.SUBSCRIBE, f"{tree}/cert/issued"),
        Rule(Action.SUBSCRIBE, f"{tree}/limits"),
    )


def token_rules(tenant: TenantId, device: UUID) -> tuple[Rule, ...]:
    """What a device may do that came with a token: all but asking for a certificate."""
    return tuple(rule for rule in device_rules(tenant, device) if "/cert/" not in rule.topic)


def state_topic(tenant: TenantId, device: UUID) -> str:
    """The only topic of a device on which a message may be retained."""
    return f"tenant/{tenant}/device/{device}/state"


#: Our own services on the broker, which show a password instead of a certificate, and what each may do.
SERVICE_RULES = {
    "svc_ingest_worker": (
        Rule(Action.SUBSCRIBE, "tenant/+/device/+/telemetry"),
        Rule(Action.SUBSCRIBE, "tenant/+/device/+/state"),
        Rule(Action.SUBSCRIBE, "tenant/+/device/+/command/ack"),
        Rule(Action.SUBSCRIBE, "tenant/+/device/+/cert/renew"),
        Rule(Action.PUBLISH, "tenant/+/device/+/cert/issued"),
        Rule(Action.PUBLISH, "tenant/+/device/+/command"),
        Rule(Action.PUBLISH, "tenant/+/device/+/limits"),
    )
}
_SERVICE_CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")


def decide(act: Act) -> Allowed | Denied:
    """Judge one act by the list that the session got when it connected."""
    rules = _rules_of(act)
    if rules is None:
        return Denied(Reason.UNKNOWN_CLIENT)
    publishing = act.action is Action.PUBLISH
    topic = act.topic if publishing else topics.without_prefix(act.topic)
    if not (topics.valid_name(topic) if publishing else topics.valid_filter(topic)):
        return Denied(Reason.BAD_TOPIC)
    if topic.startswith("$"):
        return Denied(Reason.SYSTEM_TOPIC)
    covering = [r for r in rules if r.action is act.action and topics.contains(r.topic, topic)]
    if not covering:
        return Denied(Reason.TOPIC_NOT_ALLOWED, EVERYTHING_ELSE)
    if publishing and act.retain and not any(rule.retained for rule in covering):
        return Denied(Reason.RETAIN_NOT_ALLOWED, str(covering[0]))
    return Allowed(str(covering[0]))


def _rules_of(act: Act) -> tuple[Rule, ...] | None:
    """A device goes by its tenant attribute, which our own answer set; a service by its name and the lack of one."""
    if act.tenant == "" and is_service_client_id(act.client_id):
        return SERVICE_RULES.get(act.username)
    whose = device_of(act)
    if whose is None:
        return None
    tenant, device = whose
    # The user name that a token was let in under; a certificate's never holds a slash.
    by_token = act.username == f"{tenant}/{device}"
    return token_rules(tenant, device) if by_token else device_rules(tenant, device)


def device_of(act: Act) -> tuple[TenantId, UUID] | None:
    """Say which device of which tenant it is, by the names that our own answer set; None for anything else."""
    try:
        return TenantId(parse_uuid(act.tenant)), parse_uuid(act.client_id)
    except ValueError:
        return None


def is_service_client_id(client_id: str) -> bool:
    """Client ids are global: a service that took a device's would end the device's session."""
    try:
        parse_uuid(client_id)
    except ValueError:
        return _SERVICE_CLIENT_ID.fullmatch(client_id) is not None
    return False
