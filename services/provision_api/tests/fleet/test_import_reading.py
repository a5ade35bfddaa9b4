"""Reading imports: what spreadsheets make is understood, each bad line is refused by itself, nothing crashes."""

from __future__ import annotations

import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision_api.fleet.import_reading import (
    LONGEST_LINE,
    Refused,
    Row,
    Unreadable,
    cut,
    read_header,
    read_line,
    without_bom,
)

COLUMNS = [",", "hardware_id", "name", "profile", "group"]


def refusal(line: bytes, kind: Literal["csv", "jsonl"] = "csv") -> str:
    found = read_line(line, kind, COLUMNS)
    assert isinstance(found, Refused)
    return found.problem


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        (b"hardware_id,name,profile,group\r\n", ","),
        (b"hardware_id;name\r\n", ";"),
        (b"HARDWARE_ID\tName\n", "\t"),
        (b'"hardware_id","name"\n', ","),
        (b"hardware_id", ","),
    ],
)
def test_header_says_columns_and_delimiter(header: bytes, delimiter: str) -> None:
    found = read_header(header)

    assert found[:2] == [delimiter, "hardware_id"]


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"name\n",
        b"hardware_id,password\n",
        b"hardware_id,hardware_id\n",
        b"SN-1,Lamp\n",
        b"\xff",
    ],
)
def test_header_that_says_something_else_stops_the_import(header: bytes) -> None:
    with pytest.raises(Unreadable):
        read_header(header)


def test_mark_of_utf8_is_left_out_and_another_encodings_stops_the_import() -> None:
    assert without_bom("\ufeffhardware_id".encode()) == 3
    assert without_bom(b"hardware_id") == 0
    for encoding in ("utf-16", "utf-16-be", "utf-32"):
        with pytest.raises(Unreadable):
            without_bom("\ufeffhardware_id".encode(encoding))


def test_row_is_read_alike_from_both_formats() -> None:
    row = Row(hardware_id="SN-1", name="Größe, Halle B", profile="Meters", group=None)
    given = {"hardware_id": "SN-1", "name": "Größe, Halle B", "profile": "Meters", "group": None}

    assert read_line('SN-1,"Größe, Halle B",Meters,\r\n'.encode(), "csv", COLUMNS) == row
    assert read_line(json.dumps(given).encode(), "jsonl", []) == row


def test_device_without_a_name_is_called_by_its_hardware_id() -> None:
    found = read_line(b"SN-1,,,", "csv", COLUMNS)

    assert found == Row(hardware_id="SN-1", name="SN-1")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"SN-1,Lamp\n", "2 fields"),
        (b'SN-1,"Lamp,,\n', "quotes"),
        (b"\xff,Lamp,,\n", "not UTF-8"),
        (b",Lamp,,\n", "hardware_id must be"),
        (b"=1+1,Lamp,,\n", "hardware_id must be"),
        (b"SN-1,La\x00mp,,\n", ""),
        ("SN-1,La\u202emp,,\n".encode(), "invisible"),
        (b"SN-1," + b"a" * 101 + b",,\n", "100 characters"),
        (b"SN-1," + b"a" * LONGEST_LINE + b",,\n", "longer"),
    ],
)
def test_bad_line_is_refused_in_words(line: bytes, words: str) -> None:
    assert words in refusal(line)


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"1",
        b"{",
        b'{"a": 1}',
        b'{"hardware_id": 1}',
        b"[" * 5000,
        b'{"hardware_id": "\\ud800"}',
    ],
)
def test_line_that_is_no_object_of_texts_is_refused(line: bytes) -> None:
    assert refusal(line, "jsonl")


@given(st.binary(max_size=300), st.sampled_from(["csv", "jsonl"]))
def test_nothing_that_is_sent_crashes_the_reader(
    line: bytes, kind: Literal["csv", "jsonl"]
) -> None:
    read_line(line, kind, COLUMNS)


@given(st.binary(max_size=500), st.integers(1, 20))
def test_cutting_loses_and_invents_no_byte(data: bytes, most: int) -> None:
    lines = cut(data, most, is_all=True)

    assert data.startswith(b"".join(lines))
    assert len(lines) == most or b"".join(lines) == data


def test_line_without_an_end_waits_for_its_rest_and_not_for_ever() -> None:
    assert cut(b"a\nb", 10, is_all=False) == [b"a\n"]
    with pytest.raises(Unreadable):
        cut(b"a" * (LONGEST_LINE + 1), 10, is_all=False)
