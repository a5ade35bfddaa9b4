"""The access list of an authentication answer: parsing its rules and judging by them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from pulse_local.broker.topics import covers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ACTIONS = {
    "publish": frozenset({"publish"}),
    "pub": frozenset({"publish"}),
    "subscribe": frozenset({"subscribe"}),
    "sub": frozenset({"subscribe"}),
    "all": frozenset({"publish", "subscribe"}),
}
RETAIN: dict[str, frozenset[bool]] = {
    "all": frozenset({False, True}),
    "true": frozenset({True}),
    "false": frozenset({False}),
}
EVERY_QOS = frozenset({0, 1, 2})
PLACEHOLDER = re.compile(r"\$\{([a-z_]+(?:\.[^}]+)?)\}")


class BadRule(Exception):  # noqa: N818 - reads as a sentence where it is raised
    """A rule that EMQX would refuse; it refuses the whole connection."""


class Verdict(Enum):
    ALLOW = "allow"
    DENY = "deny"
    NO_MATCH = "no match"


@dataclass(frozen=True, kw_only=True)
class Act:
    action: str
    topic: str
    qos: int
    retain: bool


@dataclass(frozen=True, kw_only=True)
class Rule:
    verdict: Verdict
    actions: frozenset[str]
    topics: tuple[str, ...]
    qos: frozenset[int]
    retain: frozenset[bool]

    def matches(self, act: Act) -> bool:
        if act.action not in self.actions or act.qos not in self.qos:
            return False
        if act.action == "publish" and act.retain not in self.retain:
            return False
        return any(topic_matches(topic, act.topic) for topic in self.topics)


def topic_matches(rule_topic: str, topic: str) -> bool:
    if rule_topic.startswith("eq "):
        return rule_topic.removeprefix("eq ") == topic
    return covers(rule_topic, topic)


def judge(rules: Iterable[Rule], act: Act) -> Verdict:
    for rule in rules:
        if rule.matches(act):
            return rule.verdict
    return Verdict.NO_MATCH


def parse_rules(value: object, names: Mapping[str, str]) -> tuple[Rule, ...]:
    if not isinstance(value, list):
        raise BadRule("acl is not a list")
    return tuple(parse_rule(item, names) for item in value)


def parse_rule(value: object, names: Mapping[str, str]) -> Rule:
    if not isinstance(value, dict):
        raise BadRule("a rule is not an object")
    permission, action = value.get("permission"), value.get("action")
    # A list is not hashable, so ask for text before looking it up.
    if not isinstance(permission, str) or permission not in {"allow", "deny"}:
        raise BadRule("permission is neither allow nor deny")
    if not isinstance(action, str) or action not in ACTIONS:
        raise BadRule("action is not publish, subscribe or all")
    return Rule(
        verdict=Verdict(permission),
        actions=ACTIONS[action],
        topics=parse_topics(value, names),
        qos=parse_qos(value["qos"]) if "qos" in value else EVERY_QOS,
        retain=parse_retain(value.get("retain", "all")),
    )


def parse_topics(value: dict[str, object], names: Mapping[str, str]) -> tuple[str, ...]:
    # With both, EMQX goes by the one.
    topics = [value.get("topic")] if "topic" in value or "topics" not in value else value["topics"]
    if not isinstance(topics, list):
        raise BadRule("topics is not a list")
    if not all(isinstance(topic, str) for topic in topics):
        raise BadRule("a topic is missing or not a string")
    expanded = (expand(topic, names) for topic in topics)
    return tuple(topic for topic in expanded if topic is not None)


def expand(topic: str, names: Mapping[str, str]) -> str | None:
    """Put names in, as given, even wildcards, as EMQX does; a missing attribute matches nothing."""
    found = PLACEHOLDER.findall(topic)
    if any(name.startswith("client_attrs.") and name not in names for name in found):
        return None
    return PLACEHOLDER.sub(lambda hit: names.get(hit[1], hit[0]), topic)


def parse_qos(value: object) -> frozenset[int]:
    if isinstance(value, str):
        value = value.split(",")
    items = value if isinstance(value, list) else [value]
    texts = {str(item).strip() for item in items if isinstance(item, (int, str))}
    if len(texts) == 0 or len(texts) != len({str(item) for item in items}):
        raise BadRule("qos is not a number or a list of numbers")
    if not texts <= {"0", "1", "2"}:
        raise BadRule("qos is not 0, 1 or 2")
    return frozenset(int(text) for text in texts)


def parse_retain(value: object) -> frozenset[bool]:
    word = str(value).lower() if isinstance(value, bool) else value
    if not isinstance(word, str) or word not in RETAIN:
        raise BadRule("retain is not true, false or all")
    return RETAIN[word]
