"""What may stand in the audit log: no secrets by their names, no characters that PostgreSQL refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

REDACTED = "[redacted]"
_SECRET_NAME = re.compile(
    r"password|passphrase|secret|authorization|cookie|private|api_?key|admin_?key|(?:^|_)(?:token|csr|key)$",
    re.IGNORECASE,
)
_PUBLIC = frozenset({"public_key"})


def clean(text: str) -> str:
    """Replace what no text column can hold: NUL and lone surrogates."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def clean_or_none(text: str | None) -> str | None:
    return None if text is None else clean(text)


def to_json(values: Mapping[str, object]) -> str:
    """Write ``values`` as JSON, each text under a secret's name as ``[redacted]``, at any depth."""
    if not values:
        return "{}"
    shown = {clean(str(name)): _shown(str(name), value) for name, value in values.items()}
    return json.dumps(shown, allow_nan=False, ensure_ascii=False, default=_text)


def to_json_or_none(values: Mapping[str, object] | None) -> str | None:
    return None if values is None else to_json(values)


def _shown(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if name not in _PUBLIC and _SECRET_NAME.search(name):
        return REDACTED
    return _inner(name, value)


def _inner(name: str, value: object) -> object:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _shown(str(key), inner) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [_shown(name, inner) for inner in value]
    return value


def _text(value: Any) -> str:  # noqa: ANN401 -- what json.dumps does not know: UUIDs, times
    return clean(str(value))
