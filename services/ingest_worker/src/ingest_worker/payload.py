"""Bytes from a device to samples: one strict parser that refuses everything it does not know."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, cast

from pulse_common.errors import Malformed
from pulse_common.ids import parse_id

if TYPE_CHECKING:
    from uuid import UUID

    from pulse_common.events import MetricValue

LARGEST_PAYLOAD_BYTES = 64 * 1024
MOST_SAMPLES = 100
MOST_METRICS = 64
LONGEST_TEXT = 256
LONGEST_RESULT = 1024
LARGEST_NUMBER = 1e308
LARGEST_INTEGER = 2**53
"""Beyond it a whole number is not exact in JSON's common reading (RFC 8259 section 6)."""
FUTURE_LIMIT = timedelta(minutes=10)
PAST_LIMIT = timedelta(days=30)

Reason = Literal[
    "topic",
    "too_large",
    "not_json",
    "duplicate_key",
    "too_deep",
    "shape",
    "batch_size",
    "unknown_member",
    "ts",
    "ts_in_future",
    "ts_too_old",
    "metrics",
    "metric_name",
    "metric_value",
    "command_ack",
    "schema",
    "internal",
]
"""Also the label of a metric and a field of the parked message: a fixed list, never text from a device."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
# RFC 3339, with the seconds optional.  datetime.fromisoformat takes much more: week dates, any separator, 60 minutes.
_HOUR_AND_MINUTE = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = re.compile(
    rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt]{_HOUR_AND_MINUTE}(:[0-5][0-9](\.[0-9]{{1,9}})?)?"
    rf"([Zz]|[+-]{_HOUR_AND_MINUTE})"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadPayload(Exception):  # noqa: N818 -- reads as an outcome
    """Stays inside this service: ``domain.judge`` turns it into a verdict."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Sample:
    """``ts`` is None when the device did not say."""

    ts: datetime | None
    metrics: dict[str, MetricValue]


@dataclass(frozen=True, slots=True)
class CommandAck:
    command_id: UUID
    ok: bool
    result: str | None


def parse_samples(
    data: bytes, received_at: datetime, leeway: timedelta = timedelta()
) -> list[Sample]:
    """Read one sample or an array of up to 100; ``leeway`` widens the limits on times, both ways.

    Raises:
        BadPayload: with the first reason found.
    """
    found = _read_json(data)
    items = found if isinstance(found, list) else [found]
    if not 1 <= len(items) <= MOST_SAMPLES:
        raise BadPayload("batch_size")
    earliest, latest = received_at - PAST_LIMIT - leeway, received_at + FUTURE_LIMIT + leeway
    return [_parse_sample(item, earliest, latest) for item in items]


def parse_command_ack(data: bytes) -> CommandAck:
    """Read which command a device answers, whether it went well (``ok``, true if left out), and its ``result``."""
    found = _read_json(data)
    if not isinstance(found, dict) or not isinstance(found.get("id"), str):
        raise BadPayload("command_ack")
    ok, result = found.get("ok", True), found.get("result")
    if not isinstance(ok, bool) or not (result is None or _is_result(result)):
        raise BadPayload("command_ack")
    try:
        return CommandAck(parse_id(found["id"], "id"), ok, cast("str | None", result))
    except Malformed:
        raise BadPayload("command_ack") from None


def _is_result(value: object) -> bool:
    if not isinstance(value, str) or len(value) > LONGEST_RESULT:
        return False
    return "\x00" not in value and _is_unicode(value)


def _read_json(data: bytes) -> object:
    if len(data) > LARGEST_PAYLOAD_BYTES:
        raise BadPayload("too_large")
    try:
        # Decoded here: json.loads would guess UTF-16 and UTF-32 too.
        return _DECODER.decode(data.decode())
    except RecursionError:
        raise BadPayload("too_deep") from None
    except ValueError:
        raise BadPayload("not_json") from None


def _unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadPayload("duplicate_key")
    return members


def _refuse_constant(_: str) -> object:
    raise BadPayload("not_json")  # NaN and the infinities


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_members, parse_constant=_refuse_constant)


def _parse_sample(item: object, earliest: datetime, latest: datetime) -> Sample:
    if not isinstance(item, dict):
        raise BadPayload("shape")
    if not item.keys() <= {"ts", "metrics"}:
        # A misspelt member must not be lost in silence.
        raise BadPayload("unknown_member")
    ts = _parse_time(item["ts"], earliest, latest) if "ts" in item else None
    metrics = item.get("metrics")
    if not isinstance(metrics, dict) or not 1 <= len(metrics) <= MOST_METRICS:
        raise BadPayload("metrics")
    for name, value in metrics.items():
        if not _NAME.fullmatch(name):
            raise BadPayload("metric_name")
        if not is_storable(value):
            raise BadPayload("metric_value")
    # One form for one number: 5 and 5.0 are the same reading.
    return Sample(ts, {name: _as_metric(value) for name, value in metrics.items()})


def is_storable(value: object) -> bool:
    """Tell whether PostgreSQL, JSON and a browser all keep this value as it is."""
    # The commonest first; NaN is in no range.
    if isinstance(value, float):
        return -LARGEST_NUMBER <= value <= LARGEST_NUMBER
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT and "\x00" not in value and _is_unicode(value)
    return isinstance(value, int) and -LARGEST_INTEGER <= value <= LARGEST_INTEGER


def _is_unicode(text: str) -> bool:
    """JSON's escapes can spell half a surrogate pair, which is no character."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_metric(value: object) -> MetricValue:
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return cast("MetricValue", value)


def _parse_time(value: object, earliest: datetime, latest: datetime) -> datetime:
    ts = _read_time(value)
    if ts > latest:
        raise BadPayload("ts_in_future")
    if ts < earliest:
        raise BadPayload("ts_too_old")
    return ts


def _read_time(value: object) -> datetime:
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return _EPOCH + timedelta(milliseconds=value)
        if isinstance(value, str) and _TIME.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadPayload("ts") from None
    raise BadPayload("ts")
