"""Readings: what is measured at one time, how a line of input becomes one, how it is published."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pulse_device.journal import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

Metric = float | int | bool | str

LONGEST_LINE = 65_536
# What the platform accepts; it parks the rest, so a reading that breaks a rule is better told of here.
MOST_METRICS = 64
METRIC_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
LONGEST_TEXT = 256
LARGEST_INTEGER = 2**53
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ReadingError(ValueError):
    """Why a line is not a reading."""


@dataclass(frozen=True, slots=True)
class Reading:
    at: datetime
    metrics: Mapping[str, Metric]


def encode_reading(reading: Reading) -> bytes:
    content = {"ts": timestamp(reading.at), "metrics": dict(reading.metrics)}
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def parse_line(line: bytes, *, now: datetime) -> Reading:
    """Read `{"metrics": {...}}`, the same with `"ts"`, or a flat object of metrics.

    A flat object may carry "ts" too. Without it the reading gets the present time. Raises
    ReadingError.
    """
    try:
        found = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ReadingError("it is not JSON") from error
    if not isinstance(found, dict):
        raise ReadingError("it is not an object")
    at = _parse_time(found.pop("ts")) if "ts" in found else now
    metrics = found
    if isinstance(found.get("metrics"), dict):
        metrics = found.pop("metrics")
        if found:
            raise ReadingError('it has more than "ts" and "metrics"')
    if not 1 <= len(metrics) <= MOST_METRICS:
        raise ReadingError(f"it has not 1 to {MOST_METRICS} metrics")
    for name, value in metrics.items():
        _check_metric(name, value)
    return Reading(at=at, metrics=metrics)


def _refuse_constant(name: str) -> float:
    raise ReadingError(f"{name} is not a JSON number")


def _check_metric(name: str, value: object) -> None:
    if not METRIC_NAME.fullmatch(name):
        raise ReadingError("a metric's name is not a letter and up to 63 letters, digits, _ . or -")
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise ReadingError(f"the text of {name} is too long")
        # NUL and lone surrogates are legal JSON but no text that a database would store.
        if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value):
            raise ReadingError(f"the text of {name} is not storable")
        return
    if isinstance(value, float) and not math.isfinite(value):
        raise ReadingError(f"the number of {name} is too large")
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise ReadingError(f"the number of {name} is too large")
    if not isinstance(value, float | int):
        raise ReadingError(f"{name} is not a number, a truth value or a text")


def _parse_time(value: object) -> datetime:
    """Read ISO 8601 with a zone, or whole milliseconds since 1970."""
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return EPOCH + timedelta(milliseconds=value)
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            if at.tzinfo is not None:
                return at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ReadingError("its ts is not a time") from error
    raise ReadingError("its ts is not a time with a zone")
