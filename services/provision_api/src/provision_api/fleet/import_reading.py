"""Bytes of an import to rows: CSV or JSON Lines, one record a line, each refused by itself.  No I/O.

What a spreadsheet makes is understood: a byte order mark, CRLF, semicolons or tabs.  What is not UTF-8 is refused, and
so is a line break inside quotes: no value may hold one.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from provision_api import domain
from provision_api.fleet import rules
from pulse_common.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = ("hardware_id", "name", "profile", "group", "maker_key_sha256")
MOST_ROWS = 100_000
LARGEST_BYTES = 64 * 1024 * 1024
LONGEST_LINE = 8 * 1024
_BOM = b"\xef\xbb\xbf"
_FOREIGN_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_DELIMITERS = ",;\t"
_DIGEST_BYTES = 32


class Unreadable(Exception):  # noqa: N818 -- what becomes of the import
    """The import as a whole can't go on; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One device that is wanted; ``hardware_id`` is what makes a row the same row."""

    hardware_id: str
    name: str
    profile: str | None = None
    group: str | None = None
    maker_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    problem: str
    hardware_id: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """``end`` is the byte after it."""

    number: int
    end: int
    content: Row | Refused | None


def read_header(line: bytes) -> list[str]:
    """Return the delimiter and the columns of a CSV.

    Raises:
        Unreadable: it is not UTF-8, or not the names of our columns.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise Unreadable("the file must be UTF-8") from None
    for delimiter in _DELIMITERS:
        names = [name.strip().lower() for name in _split(text, delimiter) or []]
        if "hardware_id" in names and set(names) <= set(COLUMNS) and len(set(names)) == len(names):
            return [delimiter, *names]
    raise Unreadable(f"the first line must name hardware_id, and else only of {', '.join(COLUMNS)}")


def without_bom(data: bytes) -> int:
    """Return how many bytes of a byte order mark the file begins with.

    Raises:
        Unreadable: it is the mark of another encoding.
    """
    if data.startswith(_FOREIGN_BOMS):
        raise Unreadable("the file must be UTF-8")
    return len(_BOM) if data.startswith(_BOM) else 0


def cut(data: bytes, most: int, *, is_all: bool) -> list[bytes]:
    """Return up to ``most`` whole lines with their ends; the last one may lack its end when nothing follows.

    Raises:
        Unreadable: a line has no end.
    """
    lines: list[bytes] = []
    at = 0
    while len(lines) < most and at < len(data):
        end = data.find(b"\n", at) + 1
        if end == 0:
            if is_all:
                lines.append(data[at:])
            elif len(data) - at > LONGEST_LINE:
                raise Unreadable(f"a line is longer than {LONGEST_LINE} bytes")
            break
        lines.append(data[at:end])
        at = end
    return lines


def read_line(
    line: bytes, kind: Literal["csv", "jsonl"], columns: Sequence[str]
) -> Row | Refused | None:
    """Read one record; None for a blank line."""
    content = line.rstrip(b"\r\n")
    if not content.strip():
        return None
    if len(content) > LONGEST_LINE:
        return Refused(f"longer than {LONGEST_LINE} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return Refused("not UTF-8")
    values = _of_csv(text, columns) if kind == "csv" else _of_json(text)
    return values if isinstance(values, Refused) else _row(values)


def _of_csv(text: str, columns: Sequence[str]) -> Mapping[str, str] | Refused:
    fields = _split(text, columns[0])
    if fields is None:
        return Refused("not CSV: quotes must be closed on the same line")
    if len(fields) != len(columns) - 1:
        return Refused(f"{len(fields)} fields where the first line names {len(columns) - 1}")
    return dict(zip(columns[1:], fields, strict=True))


def _split(text: str, delimiter: str) -> list[str] | None:
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _of_json(text: str) -> Mapping[str, str] | Refused:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return Refused("not JSON")
    if not isinstance(found, dict) or not set(found) <= set(COLUMNS):
        return Refused(f"not an object with only {', '.join(COLUMNS)}")
    if not all(value is None or isinstance(value, str) for value in found.values()):
        return Refused("values must be texts")
    return {name: value or "" for name, value in found.items()}


def _row(values: Mapping[str, str]) -> Row | Refused:
    texts = {name: value.strip() for name, value in values.items()}
    hardware_id = texts.get("hardware_id", "")
    try:
        rules.checked_hardware_id(hardware_id)
    except Malformed as error:
        return Refused(error.message)
    try:
        return Row(
            hardware_id=hardware_id,
            name=domain.checked_name(texts.get("name") or hardware_id),
            profile=texts.get("profile") or None,
            group=_group(texts.get("group")),
            maker_key=_maker_key(texts.get("maker_key_sha256")),
        )
    except Malformed as error:
        return Refused(error.message, hardware_id)


def _group(text: str | None) -> str | None:
    return domain.checked_name(text) if text else None


def _maker_key(text: str | None) -> bytes | None:
    if not text:
        return None
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != _DIGEST_BYTES:
        raise Malformed("maker_key_sha256 must be 64 hexadecimal digits")
    return found
