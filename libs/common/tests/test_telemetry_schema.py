"""Telemetry schemas: what is taken judges readings, what could cost too much or reach elsewhere is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pulse_common.errors import Malformed
from pulse_common.telemetry_schema import LARGEST_BYTES, compiled

BOMB = {
    "$defs": {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]}
        for n in range(30)
    }
    | {"d30": {"type": "object"}},
    "$ref": "#/$defs/d0",
}


def test_what_is_taken_judges_readings() -> None:
    schema = {
        "type": "object",
        "properties": {"load": {"$ref": "#/$defs/share"}},
        "required": ["load"],
        "$defs": {"share": {"type": "number", "minimum": 0, "maximum": 1}},
    }

    judge = compiled(schema)

    assert judge.is_valid({"load": 0.5})
    assert not judge.is_valid({"load": 2})
    assert not judge.is_valid({})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
        {"$ref": "http://169.254.169.254/latest"},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"a": {"$ref": "other.json"}}},
        {"$id": "http://evil.example/", "type": "object"},
        {"properties": {"a": {"$id": "http://evil.example/"}}},
        {"$dynamicRef": "#meta"},
        {"$ref": "#"},
        {"$ref": "#/$defs/none"},
        {"$ref": 5},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"pattern": "(?=a)b"},
        {"pattern": "("},
        {"maximum": 1e300},
        {"maximum": 1e-300},
        {"description": "x" * LARGEST_BYTES},
        BOMB,
    ],
    ids=str,
)
def test_schema_that_is_none_or_asks_for_too_much_is_refused(schema: dict[str, Any]) -> None:
    begun = time.monotonic()

    with pytest.raises(Malformed):
        compiled(schema)

    assert time.monotonic() - begun < 1


def test_nesting_without_end_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(500):
        schema = {"not": schema}

    with pytest.raises(Malformed, match="deep"):
        compiled(schema)


def test_pattern_that_would_backtrack_is_judged_at_once() -> None:
    judge = compiled({"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}})
    begun = time.monotonic()

    assert not judge.is_valid({"a": "a" * 5000 + "!"})

    assert time.monotonic() - begun < 1
