from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from pulse_common import events
from pulse_common.errors import Malformed
from ui_iot.api import MOST_POINTS
from ui_iot.api_models import LONGEST_SPAN_SECONDS, read_span
from ui_iot.handlers import PAGE_SIZE

if TYPE_CHECKING:
    from services.ui_iot.tests.neighbours import Neighbours
    from services.ui_iot.tests.rig import Browser, Rig

pytestmark = pytest.mark.anyio


def add_points(rig: Rig, tenant: UUID, device: UUID, seconds_ago: list[float]) -> None:
    with rig.superuser.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO telemetry (tenant_id, device_id, ts, message_id, metrics, received_at)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (tenant, device, at, uuid4(), Jsonb({"ago": ago}), at)
                for ago in seconds_ago
                for at in [rig.now - timedelta(seconds=ago)]
            ],
        )


async def test_devices_come_page_by_page_and_each_once(rig: Rig, acme: UUID) -> None:
    made = sorted(str(rig.device(acme)) for _ in range(2 * PAGE_SIZE))
    browser, headers = rig.browser(), rig.bearer(acme, "customer")

    first = (await browser.get("/api/v2/devices", headers=headers)).json()
    path = f"/api/v2/devices?after={first['next_after']}"
    second = (await browser.get(path, headers=headers)).json()

    assert [device["id"] for page in (first, second) for device in page["devices"]] == made[::-1]
    assert second["next_after"] is None


async def test_device_says_what_is_known(rig: Rig, alice: Browser, acme: UUID) -> None:
    device = rig.device(acme, "Größe <1>")
    rig.superuser.execute(
        "INSERT INTO device_last_state (tenant_id, device_id, last_seen_at, ts, metrics)"
        " VALUES (%s, %s, %s, %s, %s)",
        [acme, device, rig.now, rig.now, Jsonb({"load": 0.5, "on": True, "mode": "eco"})],
    )

    body = (await alice.get(f"/api/v2/devices/{device}")).json()

    assert body["created_at"]
    del body["created_at"]
    assert body == {
        "id": str(device),
        "name": "Größe <1>",
        "status": "live",
        "last_seen_at": "2026-01-01T12:00:00Z",
        "latest": {"load": 0.5, "on": True, "mode": "eco"},
    }


async def test_readings_are_those_since_the_asked_moment_oldest_first(
    rig: Rig, alice: Browser, acme: UUID
) -> None:
    device = rig.device(acme)
    add_points(rig, acme, device, [0, 59, 61, 299, 301])
    path = f"/api/v2/devices/{device}/telemetry"

    minute = (await alice.get(f"{path}?since_seconds=60")).json()["points"]
    default = (await alice.get(path)).json()["points"]

    assert [point["metrics"]["ago"] for point in minute] == [59, 0]
    assert [point["metrics"]["ago"] for point in default] == [299, 61, 59, 0]
    assert minute[-1]["ts"] == int(rig.now.timestamp() * 1000)


async def test_of_many_readings_the_newest_come(rig: Rig, alice: Browser, acme: UUID) -> None:
    device = rig.device(acme)
    add_points(rig, acme, device, [i / 10 for i in range(MOST_POINTS + 5)])

    points = (await alice.get(f"/api/v2/devices/{device}/telemetry")).json()["points"]

    assert len(points) == MOST_POINTS
    assert points[-1]["metrics"] == {"ago": 0.0}


@given(st.one_of(st.text(), st.text("0123456789"), st.integers().map(str)))
def test_span_is_a_whole_number_of_seconds_within_a_day(text: str) -> None:
    try:
        seconds = read_span(text)
    except Malformed:
        return
    assert 1 <= seconds <= LONGEST_SPAN_SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-1",
        "+1",
        "1.5",
        "1e3",
        " 1",
        "",
        "86401",
        "٣",
        "²",
        "1_0",
        "0000003001234567",
        "9" * 50,
        "9" * 5000,
    ],
)
def test_other_spans_are_refused(text: str) -> None:
    with pytest.raises(Malformed, match="since_seconds"):
        read_span(text)


@pytest.mark.parametrize(("text", "seconds"), [("1", 1), ("86400", 86400), ("007", 7)])
def test_spans_are_read(text: str, seconds: int) -> None:
    assert read_span(text) == seconds


@pytest.mark.parametrize("device", ["nonsense", "0190F000-0000-7000-8000-00000000000A", "%00", "é"])
async def test_malformed_id_is_refused_everywhere(rig: Rig, alice: Browser, device: str) -> None:
    path = f"/api/v2/devices/{device}"
    headers = {"x-csrf-token": alice.csrf}

    answers = [
        await alice.get(path),
        await alice.get(f"{path}/telemetry"),
        await alice.post(f"{path}/revoke", json={"reason": "superseded"}, headers=headers),
        await alice.post(f"{path}/commands", json={"name": "reboot"}, headers=headers),
        await alice.get(f"/api/v2/devices?after={device}"),
    ]

    for response in answers:
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/problem+json"


async def test_command_is_handed_on_in_the_persons_name(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    device = rig.device(acme)

    response = await alice.post(
        f"/api/v2/devices/{device}/commands",
        json={"name": "set-mode", "arguments": {"mode": "eco", "level": 2, "now": True}},
        headers={"x-csrf-token": alice.csrf},
    )

    [asked] = neighbours.asked
    assert response.status_code == 202
    assert isinstance(asked, events.CommandRequest)
    assert response.json() == {"command_id": str(asked.command_id)}
    assert (asked.tenant_id, asked.device_id, asked.name) == (acme, device, "set-mode")
    assert asked.arguments == {"mode": "eco", "level": 2, "now": True}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"not json",
        b'{"name": ""}',
        b'{"name": "1st"}',
        b'{"name": "a b"}',
        b'{"name": "a/../b"}',
        b'{"name": "reboot\\n"}',
        b'{"name": "reboot", "extra": 1}',
        b'{"name": "reboot", "arguments": {"x": null}}',
        b'{"name": "reboot", "arguments": {"x": {}}}',
        b'{"name": "reboot", "arguments": {"x": NaN}}',
        b'{"name": "reboot", "arguments": {"x": 1e999}}',
        b'{"name": "reboot", "arguments": {"x": ' + b"9" * 400 + b"}}",
        b'{"name": "reboot", "arguments": {"x": "\\u0000"}}',
        b'{"name": "reboot", "arguments": {"x": "\\ud800"}}',
        b'{"name": "reboot", "arguments": {'
        + b", ".join(b'"%d": 1' % i for i in range(33))
        + b"}}",
        b"[" * 100_000,
    ],
    ids=lambda body: body[:60].decode(),
)
async def test_command_of_another_shape_is_refused(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours, body: bytes
) -> None:
    device = rig.device(acme)

    response = await alice.post(
        f"/api/v2/devices/{device}/commands", content=body, headers={"x-csrf-token": alice.csrf}
    )

    assert response.status_code in {400, 413}
    assert response.headers["content-type"] == "application/problem+json"
    assert neighbours.asked == []


async def test_revocation_says_when(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    response = await alice.post(
        f"/api/v2/devices/{rig.device(acme)}/revoke",
        json={"reason": "keyCompromise"},
        headers={"x-csrf-token": alice.csrf},
    )

    assert response.json() == {"revoked": 1, "revoked_at": "2026-01-01T12:00:00Z"}


@pytest.mark.parametrize("body", [{}, {"reason": "certificateHold"}, {"reason": 1}])
async def test_reason_must_be_known(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours, body: dict[str, Any]
) -> None:
    response = await alice.post(
        f"/api/v2/devices/{rig.device(acme)}/revoke",
        json=body,
        headers={"x-csrf-token": alice.csrf},
    )

    assert response.status_code == 400
    assert neighbours.asked == []
