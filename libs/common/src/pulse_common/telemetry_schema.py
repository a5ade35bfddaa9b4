"""JSON Schemas (2020-12) that tenants give for telemetry: what one may hold, and the compiled form that judges by it.

Whoever takes a schema and whoever judges readings by it use the same function, so that what was taken can be judged by.
A schema comes from a stranger: nothing is fetched for it, its patterns run in linear time, and references cannot unfold
into more work than ``MOST_STEPS``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

import jsonschema_rs

from pulse_common.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LARGEST_BYTES = 32 * 1024
MOST_STEPS = 2_000
DEEPEST = 30
LARGEST_NUMBER = 10**15
"""jsonb writes numbers out: 1e300 would become 301 digits."""
_LOCAL = "#/$defs/"
_ELSEWHERE = frozenset({"$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary"})


def compiled(schema: Mapping[str, object]) -> jsonschema_rs.Draft202012Validator:
    """Return what judges readings by ``schema``: ``is_valid(metrics)``.

    Raises:
        Malformed: it is no JSON Schema 2020-12, or one that asks for too much; the message says which rule was broken.
    """
    if schema.get("$schema", DIALECT) != DIALECT:
        raise Malformed("telemetry_schema must be JSON Schema 2020-12")
    definitions = schema.get("$defs", {})
    _Unfolding(definitions if isinstance(definitions, Mapping) else {}).check(schema)
    if len(json.dumps(schema, ensure_ascii=False).encode()) > LARGEST_BYTES:
        raise Malformed(f"telemetry_schema may hold at most {LARGEST_BYTES} bytes")
    try:
        return jsonschema_rs.Draft202012Validator(
            dict(schema), pattern_options=jsonschema_rs.RegexOptions(), retriever=_fetch_nothing
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise Malformed(f"telemetry_schema is no JSON Schema 2020-12: {reason}") from None


def _fetch_nothing(uri: str) -> NoReturn:
    raise ValueError(f"nothing is fetched, {uri} neither")


class _Unfolding:
    """Counts what a validator may have to visit when every reference is followed."""

    def __init__(self, definitions: Mapping[str, object]) -> None:
        self._definitions = definitions
        self._known: dict[str, int] = {}
        self._under_way: set[str] = set()

    def check(self, schema: object) -> None:
        for name in self._definitions:
            self._steps_of(name)
        self._steps(schema, 0)

    def _steps(self, value: object, depth: int) -> int:
        if depth > DEEPEST:
            raise Malformed(f"telemetry_schema may be nested {DEEPEST} deep")
        if isinstance(value, float | int) and not _is_writable(value):
            raise Malformed("numbers in telemetry_schema may have 15 digits")
        steps = 1
        if isinstance(value, Mapping):
            if not _ELSEWHERE.isdisjoint(value):
                raise Malformed(f"telemetry_schema may not use {', '.join(sorted(_ELSEWHERE))}")
            if "$ref" in value:
                steps += self._steps_of_reference(value["$ref"])
        for part in _parts(value):
            steps += self._steps(part, depth + 1)
        if steps > MOST_STEPS:
            raise Malformed(f"telemetry_schema unfolds into more than {MOST_STEPS} steps")
        return steps

    def _steps_of_reference(self, target: object) -> int:
        if not isinstance(target, str) or not target.startswith(_LOCAL):
            raise Malformed(f"$ref may point at {_LOCAL}name alone: nothing is fetched")
        return self._steps_of(target.removeprefix(_LOCAL))

    def _steps_of(self, name: str) -> int:
        if name in self._under_way:
            raise Malformed("$ref may not lead back to itself")
        if name not in self._definitions:
            raise Malformed("$ref points at nothing")
        if name not in self._known:
            self._under_way.add(name)
            self._known[name] = self._steps(self._definitions[name], 1)
            self._under_way.discard(name)
        return self._known[name]


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from (part for key, part in value.items() if key != "$defs")
    elif isinstance(value, list | tuple):
        yield from value


def _is_writable(value: float) -> bool:
    return value == 0 or 1 / LARGEST_NUMBER <= abs(value) <= LARGEST_NUMBER
