"""Topic names and filters: which are valid, which match, and which filter contains another."""

from __future__ import annotations

from typing import NamedTuple

MAX_LENGTH = 4096
SHARE = "$share/"
QUEUE = "$queue/"
DELAYED = "$delayed/"
MAX_DELAY_SECONDS = 4294967  # the limit of EMQX


class Shared(NamedTuple):
    """The group (None for an ordinary subscription) and the filter inside it."""

    group: str | None
    filter: str


class Delayed(NamedTuple):
    seconds: int
    topic: str


def valid_topic(topic: str) -> bool:
    if not 0 < len(topic.encode()) <= MAX_LENGTH or topic.startswith((SHARE, QUEUE)):
        return False
    return not any(letter in topic for letter in "+#\0")


def valid_filter(wanted: str) -> bool:
    if not 0 < len(wanted.encode()) <= MAX_LENGTH or "\0" in wanted:
        return False
    levels = wanted.split("/")
    if "#" in levels[:-1]:
        return False
    return all(level in {"+", "#"} or not set("+#") & set(level) for level in levels)


def split_shared(wanted: str) -> Shared | None:
    """Take `$share/group/filter` and `$queue/filter` apart; None when malformed."""
    if wanted.startswith(QUEUE):
        group, inner = "$queue", wanted.removeprefix(QUEUE)
    elif wanted.startswith(SHARE):
        group, _, inner = wanted.removeprefix(SHARE).partition("/")
        if not group or set("+#") & set(group):
            return None
    else:
        return Shared(None, wanted) if valid_filter(wanted) else None
    if not valid_filter(inner) or inner.startswith((SHARE, QUEUE)):
        return None
    return Shared(group, inner)


def split_delayed(topic: str) -> Delayed | None:
    """Take `$delayed/seconds/topic` apart; a plain topic has no delay; None when malformed."""
    if not topic.startswith(DELAYED):
        return Delayed(0, topic) if valid_topic(topic) else None
    seconds, _, inner = topic.removeprefix(DELAYED).partition("/")
    if not (seconds.isascii() and seconds.isdigit()) or int(seconds) > MAX_DELAY_SECONDS:
        return None
    if not valid_topic(inner) or inner.startswith(DELAYED):
        return None
    return Delayed(int(seconds), inner)


def covers(rule: str, wanted: str) -> bool:
    """Whether everything that `wanted` (a topic or a filter) can match, `rule` matches too.

    So a topic name is matched and a filter is contained. A leading wildcard never reaches
    topics that begin with a dollar sign [MQTT-4.7.2-1].
    """
    if wanted.startswith("$") and rule.startswith(("+", "#")):
        return False
    rule_levels, wanted_levels = rule.split("/"), wanted.split("/")
    for index, level in enumerate(rule_levels):
        if level == "#":
            return index == len(rule_levels) - 1
        if index >= len(wanted_levels):
            return False
        asked = wanted_levels[index]
        if asked == "#" or level not in {"+", asked}:
            return False
    return len(rule_levels) == len(wanted_levels)
