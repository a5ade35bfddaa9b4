"""Payload templates: JSON in which ``{{ data.device_id }}`` names a value of the message, and nothing is executed.

A text that is one placeholder becomes the value itself, of whatever type; within a longer text it becomes text.
What is not there is null, or nothing.  There are no conditions, loops, filters or attributes: a path walks the keys of
JSON objects.
"""

from __future__ import annotations

import json
import re
from typing import Final

LONGEST: Final = 4096
DEEPEST: Final = 10
_PLACE: Final = re.compile(r"\{\{ *([A-Za-z0-9_]+(?:\.[A-Za-z0-9_-]+)*) *\}\}")


class TemplateRefused(Exception):  # noqa: N818 -- reads as an outcome
    """The template is not JSON, or too large."""


def check(template: str) -> None:
    """Raise ``TemplateRefused`` unless every message can be rendered by it."""
    if len(template) > LONGEST:
        raise TemplateRefused(f"a template has at most {LONGEST} characters")
    try:
        parsed = json.loads(template, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise TemplateRefused("a template is JSON, with {{ names }} inside of its texts") from None
    if _depth(parsed) > DEEPEST:
        raise TemplateRefused(f"a template is at most {DEEPEST} levels deep")


def render(template: str | None, message: dict[str, object]) -> str:
    """Return the body to send for ``message``; without a template, the message itself."""
    shaped = message if template is None else _fill(json.loads(template), message)
    return json.dumps(shaped, separators=(",", ":"), allow_nan=False)


def _fill(part: object, message: dict[str, object]) -> object:
    if isinstance(part, dict):
        return {key: _fill(value, message) for key, value in part.items()}
    if isinstance(part, list):
        return [_fill(value, message) for value in part]
    if not isinstance(part, str):
        return part
    whole = _PLACE.fullmatch(part)
    if whole:
        return _find(whole[1], message)
    return _PLACE.sub(lambda found: _text(_find(found[1], message)), part)


def _find(path: str, message: dict[str, object]) -> object:
    value: object = message
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _depth(part: object) -> int:
    inside = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return 1 + max((_depth(value) for value in inside), default=0)


def _no_constant(name: str) -> object:
    raise ValueError(name)
