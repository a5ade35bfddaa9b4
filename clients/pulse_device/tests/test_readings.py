"""Lines of input: whatever comes, a reading or a refusal, and nothing else."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_device.lines import lines_of
from pulse_device.readings import Reading, ReadingError, encode_reading, parse_line

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
MOST = 2**53

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,20}", fullmatch=True)
names = names.filter(lambda name: name not in {"ts", "metrics"})
values = (
    st.booleans()
    | st.integers(min_value=-MOST, max_value=MOST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=256)
)
metrics = st.dictionaries(names, values, min_size=1, max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | names, inner),
    max_leaves=8,
)


@given(metrics)
def test_the_three_forms_mean_the_same(found: dict[str, float | bool | str]) -> None:
    flat = parse_line(json.dumps(found).encode(), now=NOW)
    wrapped = parse_line(json.dumps({"metrics": found}).encode(), now=NOW)
    stamped = parse_line(json.dumps({"ts": NOW.isoformat(), "metrics": found}).encode(), now=NOW)

    assert flat == wrapped == stamped == Reading(at=NOW, metrics=found)


@given(metrics)
def test_what_is_published_reads_back(found: dict[str, float | bool | str]) -> None:
    payload = encode_reading(Reading(at=NOW, metrics=found))

    assert json.loads(payload) == {"ts": "2026-01-02T03:04:05.678Z", "metrics": found}


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_a_publishable_reading_or_refused(line: bytes) -> None:
    try:
        reading = parse_line(line, now=NOW)
    except ReadingError:
        return

    content = json.loads(encode_reading(reading))
    assert content["metrics"]
    for value in content["metrics"].values():
        assert isinstance(value, bool | str | int | float)
        assert not isinstance(value, float) or math.isfinite(value)


@pytest.mark.parametrize(
    "line",
    [
        "", "1", "[]", "{}", "null", '{"a":null}', '{"a":[]}', '{"a":{}}', '{"metrics":{}}',
        '{"a":NaN}', '{"a":1e999}', '{"a":-Infinity}', f'{{"a":{2**53 + 1}}}', '{"0a":1}', f'{{"{"a" * 65}":1}}',
        f'{{"a":"{"x" * 257}"}}', json.dumps({f"a{n}": n for n in range(65)}), '{"":1}',
        '{"a":"\\u0000"}', '{"a":"\\ud800"}', '{"a\\n":1}', '{"metrics":{"a":1},"b":2}',
        '{"ts":"2026-01-01T00:00:00","a":1}', '{"ts":true,"a":1}', '{"ts":1.5,"a":1}',
        '{"ts":99999999999999999,"a":1}', '{"ts":"0001-01-01T00:00:00+23:00","a":1}',
        "[" * 60_000, f'{{"a":{"9" * 5000}}}',
    ],
)  # fmt: skip
def test_what_could_not_be_stored_is_refused(line: str) -> None:
    with pytest.raises(ReadingError):
        parse_line(line.encode(), now=NOW)


@given(
    st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b""))),
    st.integers(min_value=1, max_value=9),
)
def test_lines_do_not_depend_on_how_the_bytes_arrive(lines: list[bytes], chunk: int) -> None:
    stream = io.BytesIO(b"".join(line + b"\n" for line in lines))

    found = list(lines_of(lambda _size: stream.read(chunk), longest=8))

    assert found == [line if len(line) <= 8 else None for line in lines]


def test_last_line_may_lack_its_end() -> None:
    assert list(lines_of(io.BytesIO(b"a\nb").read, longest=8)) == [b"a", b"b"]
