"""What a device may say: one promise a test, then everything that strangers and generators can think of."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_worker.domain import (
    Accepted,
    CommandAcknowledged,
    Inbound,
    Origin,
    Refused,
    Verdict,
    judge,
    parked_id,
    parse_topic,
)

TENANT = UUID("11111111-1111-4111-8111-111111111111")
DEVICE = UUID("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
ROOT = f"tenant/{TENANT}/device/{DEVICE}"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CORPUS = Path(__file__).resolve().parents[4] / "shared/corpora/fuzz-strings"


def received(payload: bytes | str, *, topic: str = f"{ROOT}/telemetry") -> Inbound:
    return Inbound(topic, payload.encode() if isinstance(payload, str) else payload, NOW)


def reading(**members: object) -> str:
    return json.dumps({"ts": "2026-03-01T11:59:00Z", "metrics": {"temp": 21.5}} | members)


def judged(message: Inbound) -> Verdict:
    return judge(message, parse_topic(message.topic))


def accepted(message: Inbound) -> Accepted:
    verdict = judged(message)
    assert isinstance(verdict, Accepted), verdict
    return verdict


def refusal(message: Inbound) -> str:
    verdict = judged(message)
    assert isinstance(verdict, Refused), verdict
    return verdict.reason


def test_reading_keeps_what_the_device_said() -> None:
    metrics = {"temp": 21.5, "count": 7, "door.open": True, "mode": "eco"}

    (found,) = accepted(received(reading(metrics=metrics))).readings

    assert (found.tenant_id, found.device_id) == (TENANT, DEVICE)
    assert found.ts == datetime(2026, 3, 1, 11, 59, tzinfo=UTC)
    assert found.received_at == NOW
    assert found.metrics == metrics
    assert isinstance(found.metrics["door.open"], bool)


@pytest.mark.parametrize(
    "ts",
    [
        "2026-03-01T12:30:00.5+01:00",
        "2026-03-01t11:30:00.500000Z",
        int(datetime(2026, 3, 1, 11, 30, 0, 500_000, tzinfo=UTC).timestamp() * 1000),
    ],
)
def test_times_are_iso_with_offset_or_milliseconds(ts: str | int) -> None:
    (found,) = accepted(received(reading(ts=ts))).readings

    assert found.ts == datetime(2026, 3, 1, 11, 30, 0, 500_000, tzinfo=UTC)


def test_without_a_time_the_arrival_counts() -> None:
    (found,) = accepted(received('{"metrics": {"a": 1}}')).readings

    assert found.ts == NOW


def test_state_is_a_reading_too() -> None:
    assert len(accepted(received(reading(), topic=f"{ROOT}/state")).readings) == 1


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b" " * 65_537, "too_large"),
        ("", "not_json"),
        ("{", "not_json"),
        ("\ufeff{}", "not_json"),
        (reading().encode("utf-16"), "not_json"),
        (b'{"metrics": {"a": "\xff"}}', "not_json"),
        ('{"metrics": {"a": NaN}}', "not_json"),
        ('{"metrics": {"a": -Infinity}}', "not_json"),
        ("9" * 5000, "not_json"),
        ('{"metrics": {"a": 1}, "metrics": {"a": 2}}', "duplicate_key"),
        ('{"metrics": {"a": 1, "a": 2}}', "duplicate_key"),
        ("[" * 60_000, "too_deep"),
        ("7", "shape"),
        ("[[]]", "shape"),
        ("[]", "batch_size"),
        (json.dumps([json.loads(reading())] * 101), "batch_size"),
        (reading(metrix={}), "unknown_member"),
        ("{}", "metrics"),
        (reading(metrics={}), "metrics"),
        (reading(metrics=[]), "metrics"),
        (reading(metrics={f"m{n}": n for n in range(65)}), "metrics"),
        (reading(metrics={"": 1}), "metric_name"),
        (reading(metrics={"1a": 1}), "metric_name"),
        (reading(metrics={"a b": 1}), "metric_name"),
        (reading(metrics={"a\n": 1}), "metric_name"),
        (reading(metrics={"a" * 65: 1}), "metric_name"),
        (reading(metrics={"a\u200b": 1}), "metric_name"),  # of no width
        (reading(metrics={"\u202ea": 1}), "metric_name"),  # from right to left
        (reading(metrics={"а": 1}), "metric_name"),  # noqa: RUF001 -- Cyrillic, looks like "a"
        (reading(metrics={"a\x00": 1}), "metric_name"),
        (reading(metrics={"a\ud800": 1}), "metric_name"),
        ('{"metrics": {"a": 1e400}}', "metric_value"),
        ('{"metrics": {"a": -1e400}}', "metric_value"),
        ('{"metrics": {"a": 01}}', "not_json"),
        ('{"metrics": {"a": 1}} {}', "not_json"),
        ('{"metrics": {"a": 1}, "m\\u0065trics": {"b": 1}}', "duplicate_key"),
        (reading(metrics={"a": None}), "metric_value"),
        (reading(metrics={"a": [1]}), "metric_value"),
        (reading(metrics={"a": "x" * 257}), "metric_value"),
        (reading(metrics={"a": "x\x00"}), "metric_value"),
        (reading(metrics={"a": "\ud800"}), "metric_value"),
        (reading(metrics={"a": 2**53 + 1}), "metric_value"),
        ('{"metrics": {"a": 1e309}}', "metric_value"),
        ('{"metrics": {"a": 1.1e308}}', "metric_value"),
        (reading(ts=None), "ts"),
        (reading(ts=True), "ts"),
        (reading(ts=1.5), "ts"),
        (reading(ts=10**30), "ts"),
        (reading(ts="2026-03-01T11:59:00"), "ts"),
        (reading(ts="2026-02-30T11:59:00Z"), "ts"),
        (reading(ts="2026-W09-7T11:59:00Z"), "ts"),
        (reading(ts="0001-01-01T00:00:00+23:59"), "ts"),
        (reading(ts="٢٠٢٦-03-01T11:59:00Z"), "ts"),
        (reading(ts="2026-03-01T11:58:60Z"), "ts"),  # a leap second
        (reading(ts="2026-02-28T24:00:00Z"), "ts"),  # ISO 8601 takes it, RFC 3339 does not
        (reading(ts="2026-03-01T11:59:00+24:00"), "ts"),
        (reading(ts="2026-03-01T11:59:00+00:60"), "ts"),
        (reading(ts="0000-03-01T11:59:00Z"), "ts"),
        (reading(ts="9999-12-31T23:59:59-23:59"), "ts"),
        (reading(ts="9999-12-31T23:59:59Z"), "ts_in_future"),
        (reading(ts=int(NOW.timestamp() * 1_000_000)), "ts"),  # microseconds
        (reading(ts=int(NOW.timestamp())), "ts_too_old"),  # seconds
        (reading(ts=-1), "ts_too_old"),
        (reading(ts=str(int(NOW.timestamp() * 1000))), "ts"),
        (reading(ts=" 2026-03-01T11:59:00Z"), "ts"),
        (reading(ts="2026-03-01T12:10:01Z"), "ts_in_future"),
        (reading(ts="2026-01-30T11:59:59Z"), "ts_too_old"),
    ],
)
def test_refusal_says_why(payload: bytes | str, reason: str) -> None:
    assert refusal(received(payload)) == reason


def test_one_bad_reading_refuses_its_whole_batch() -> None:
    batch = [json.loads(reading()), json.loads(reading(ts="yesterday"))]

    assert refusal(received(json.dumps(batch))) == "ts"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "telemetry",
        f"{ROOT}",
        f"{ROOT}/telemetry/",
        f"{ROOT}/command",
        f"/{ROOT}/telemetry",
        f"tenant/{str(TENANT).upper()}/device/{str(DEVICE).upper()}/telemetry",
        f"tenant/{TENANT.hex}/device/{DEVICE}/telemetry",
        f"tenant/+/device/{DEVICE}/telemetry",
        f"tenant/{TENANT}/device/{{{DEVICE}}}/telemetry",
    ],
)
def test_topic_of_nobody_is_refused(topic: str) -> None:
    assert judged(received(reading(), topic=topic)) == Refused("topic", None)


def test_topic_names_its_owner() -> None:
    assert parse_topic(f"{ROOT}/state") == Origin(TENANT, DEVICE, "state")


def test_command_acknowledgement_names_its_command() -> None:
    message = received(f'{{"id": "{DEVICE}", "ok": true}}', topic=f"{ROOT}/command/ack")

    assert judged(message) == CommandAcknowledged(
        Origin(TENANT, DEVICE, "command/ack"), DEVICE, ok=True, result=None
    )


@pytest.mark.parametrize("payload", ["{}", '{"id": 7}', '{"id": "x"}', "[]"])
def test_command_acknowledgement_without_an_id_is_refused(payload: str) -> None:
    assert refusal(received(payload, topic=f"{ROOT}/command/ack")) == "command_ack"


# Message ids -------------------------------------------------------------------------


def ids(message: Inbound) -> list[UUID]:
    return [found.message_id for found in accepted(message).readings]


def later(message: Inbound) -> Inbound:
    return Inbound(message.topic, message.payload, NOW + timedelta(seconds=30))


def test_redelivery_has_the_same_id() -> None:
    message = received(reading())

    assert ids(later(message)) == ids(message)


def test_id_goes_by_content_not_by_spelling() -> None:
    one = received('{"ts": "2026-03-01T11:00:00Z", "metrics": {"a": 1, "b": 2}}')
    other = received('{"metrics":{"b":2.0,"a":1},"ts":"2026-03-01T12:00:00+01:00"}')

    assert ids(one) == ids(other)


@pytest.mark.parametrize(
    "other",
    [
        received(reading(metrics={"temp": 21.6})),
        received(reading(metrics={"temp": "21.5"})),
        received(reading(ts="2026-03-01T11:59:00.001Z")),
        received(reading(), topic=f"{ROOT}/state"),
        received(reading(), topic=f"tenant/{DEVICE}/device/{TENANT}/telemetry"),
    ],
)
def test_other_readings_have_other_ids(other: Inbound) -> None:
    assert ids(other) != ids(received(reading()))


def test_equal_readings_in_one_batch_are_kept_apart() -> None:
    first, second = ids(received(json.dumps([json.loads(reading())] * 2)))

    assert first != second


def test_without_a_time_a_redelivery_is_another_reading() -> None:
    message = received('{"metrics": {"a": 1}}')

    assert ids(later(message)) != ids(message)
    assert ids(message) == ids(message)


def test_id_is_a_uuid_version_8() -> None:
    (found,) = ids(received(reading()))

    assert (found.version, found.variant) == (8, "specified in RFC 4122")


def test_refused_message_is_parked_under_one_id() -> None:
    message = received("{")

    assert parked_id(message, "not_json") == parked_id(later(message), "not_json")


# Strangers ---------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
ALMOST = st.fixed_dictionaries(
    {"metrics": st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,3}"), JSON, min_size=1)},
    optional={"ts": st.integers() | st.datetimes().map(str) | st.text()},
)


def judge_and_check(payload: bytes) -> None:
    """Whatever comes: a verdict, and what was accepted can be sent and stored."""
    verdict = judged(received(payload))
    if isinstance(verdict, Accepted):
        for found in verdict.readings:
            text = found.to_bytes().decode()
            assert "\x00" not in text
            assert "\\u0000" not in text
            json.dumps(found.metrics, allow_nan=False).encode()
            assert type(found).model_validate_json(text) == found


@given(st.binary(max_size=200))
def test_any_bytes_get_a_verdict(payload: bytes) -> None:
    judge_and_check(payload)


@given(JSON | ALMOST | st.lists(ALMOST, max_size=4))
def test_any_json_gets_a_verdict(value: object) -> None:
    judge_and_check(json.dumps(value).encode())


@given(st.text())
def test_any_topic_gets_a_verdict(topic: str) -> None:
    judged(received(reading(), topic=topic))


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", fullmatch=True),
        st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(-1e308, 1e308)
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=256),
        min_size=1,
        max_size=8,
    )
)
def test_every_allowed_value_comes_through_unchanged(metrics: dict[str, object]) -> None:
    (found,) = accepted(received(reading(metrics=metrics))).readings

    assert found.metrics == metrics
    assert type(found).model_validate_json(found.to_bytes()).metrics == metrics


def corpus(name: str) -> Path:
    path = CORPUS / name
    if not path.exists():
        pytest.skip(f"the shared test vectors are not here: {path}")
    return path


def test_naughty_strings_come_through_unchanged_or_are_refused() -> None:
    strings = json.loads(corpus("blns.json").read_text())

    for text in strings:
        verdict = judged(received(reading(metrics={"text": text})))
        if isinstance(verdict, Accepted):
            assert verdict.readings[0].metrics == {"text": text}
        judge_and_check(reading(metrics={text: 1}).encode())
        judge_and_check(reading(ts=text).encode())
        judge_and_check(text.encode())


def test_json_that_is_none_is_refused() -> None:
    lines = corpus("json_parsing.jsonl").read_text().splitlines()

    for case in map(json.loads, lines):
        raw = base64.b64decode(case["b64"])
        judge_and_check(raw)
        judge_and_check(b'{"metrics": {"a": ' + raw + b"}}")
        if case["expect"] == "reject":
            assert refusal(received(raw)) in {"not_json", "too_deep", "too_large"}, case["name"]
