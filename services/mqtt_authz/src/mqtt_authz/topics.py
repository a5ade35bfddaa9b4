"""MQTT topic names and filters: which are well formed, and which filter contains which (MQTT 5 section 4.7).

Containment, not string matching, decides: a subscription is inside a rule only when every topic that it could match is.
"""

from __future__ import annotations

import unicodedata

LONGEST_BYTES = 65_535
DEEPEST = 128
"""Levels that EMQX takes by default (``max_topic_levels``)."""

# Control characters, lone surrogates, unassigned and non-characters: MQTT 5 section 1.5.4 forbids some and lets a
# receiver refuse the rest; none of them is in a name of ours.
_FORBIDDEN = frozenset({"Cc", "Cs", "Cn"})


def valid_name(topic: str) -> bool:
    """Whether one can publish to ``topic``."""
    return _clean(topic) and "+" not in topic and "#" not in topic


def valid_filter(wanted: str) -> bool:
    """Whether one can subscribe to ``wanted``, prefixes such as ``$share`` already taken off."""
    if not _clean(wanted):
        return False
    *before, last = wanted.split("/")
    return all(_valid_level(level) for level in before) and (last == "#" or _valid_level(last))


def without_prefix(wanted: str) -> str:
    """Take off the one prefix that changes how messages are shared, not which.

    ``$share/group/x``, ``$queue/x`` and ``$exclusive/x`` are all judged as ``x``, as EMQX does.  What is left may be
    anything, another ``$`` included; a malformed prefix stays and is refused with the other ``$`` topics.
    """
    first, _, rest = wanted.partition("/")
    if first in {"$queue", "$exclusive"}:
        return rest
    if first == "$share":
        group, slash, shared = rest.partition("/")
        return shared if slash and valid_name(group) else wanted
    return wanted


def contains(rule: str, wanted: str) -> bool:
    """Whether every topic that the filter ``wanted`` matches is matched by the filter ``rule`` too.

    A topic name is a filter that matches itself.  False for what is malformed.
    """
    if not valid_filter(rule) or not valid_filter(wanted):
        return False
    if wanted.startswith("$") and rule[0] in "+#":
        return False  # [MQTT-4.7.2-1]: a wildcard in front never reaches what the server keeps for itself
    return _contains(rule.split("/"), wanted.split("/"))


def _contains(rule: list[str], wanted: list[str]) -> bool:
    for position, level in enumerate(rule):
        if level == "#":
            return True
        if position == len(wanted):
            return False
        other = wanted[position]
        if other == "#" or (level not in {"+", other}):
            return False
    return len(wanted) == len(rule)


def _clean(topic: str) -> bool:
    """Check the length before anything else, so that a long one costs nothing."""
    if not topic or len(topic) > LONGEST_BYTES or topic.count("/") >= DEEPEST:
        return False
    if any(unicodedata.category(character) in _FORBIDDEN for character in topic):
        return False
    return len(topic.encode()) <= LONGEST_BYTES


def _valid_level(level: str) -> bool:
    return level == "+" or ("+" not in level and "#" not in level)
