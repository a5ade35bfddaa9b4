"""Stripe's objects as its published OpenAPI has them: what tests make of them is held to it (tools/stripe_spec.py)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

_SPEC: dict[str, Any] = json.loads(Path(__file__).with_name("stripe_openapi.json").read_text())
VERSION: str = _SPEC["source"].partition(", API ")[2].partition(",")[0]
FIXTURES: dict[str, dict[str, Any]] = _SPEC["fixtures"]
REQUESTS: dict[str, dict[str, list[str]]] = _SPEC["requests"]


def example(kind: str, **fields: object) -> dict[str, Any]:
    """Give Stripe's own example of an object with some fields set."""
    made = {**FIXTURES[kind], **fields}
    require_valid(kind, made)
    return made


def require_valid(kind: str, value: object) -> None:
    if kind not in _SPEC["schemas"]:
        assert kind in FIXTURES, f"Stripe has no {kind}"
        return
    wrong = [f"{error.instance_path}: {error.message}" for error in _of(kind).iter_errors(value)]
    assert not wrong, f"not a {kind} of Stripe's: {wrong}"


@cache
def _of(kind: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({"$ref": f"#/schemas/{kind}", "schemas": _SPEC["schemas"]})
