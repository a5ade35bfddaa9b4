"""Readings: what is measured at one time, how a line of input becomes one, how it is published."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pulse_device.journal import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

Metric = float | int | bool | str

LONGEST_LINE = 65_536
LONGEST_NAME = 128
# Larger whole numbers do not fit a 64-bit integer, which is what stores them keep.
INTEGER_BITS = 63
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
    if not metrics:
        raise ReadingError("it has no metrics")
    for name, value in metrics.items():
        _check_metric(name, value)
    return Reading(at=at, metrics=metrics)


def _refuse_constant(name: str) -> float:
    raise ReadingError(f"{name} is not a JSON number")


def _check_metric(name: str, value: object) -> None:
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise ReadingError("a metric has an impossible name")
    if isinstance(value, str):
        # NUL and lone surrogates are legal JSON but no text that a database would store.
        if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value):
            raise ReadingError(f"the text of {name} is not storable")
        return
    if isinstance(value, float) and not math.isfinite(value):
        raise ReadingError(f"the number of {name} is too large")
    if isinstance(value, int) and value.bit_length() > INTEGER_BITS:
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
