from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.rig import HTML, PUBLIC_URL, Browser, Rig

from ui_iot.forms import LONGEST_FORM, MOST_FIELDS

if TYPE_CHECKING:
    from uuid import UUID

    import httpx2
    from services.ui_iot.tests.neighbours import Neighbours

pytestmark = pytest.mark.anyio

SAME = {"origin": PUBLIC_URL, "sec-fetch-site": "same-origin"}


@pytest.fixture
async def lamp(rig: Rig, acme: UUID) -> str:
    return str(rig.device(acme))


def unsafe_requests(lamp: str) -> list[tuple[str, dict[str, object]]]:
    return [
        ("/auth/logout", {}),
        ("/devices", {"data": {"name": "Lamp"}}),
        (f"/devices/{lamp}/enrolment-tokens", {}),
        (f"/devices/{lamp}/revoke", {"data": {"reason": "superseded"}}),
        (f"/api/v2/devices/{lamp}/revoke", {"json": {"reason": "superseded"}}),
        (f"/api/v2/devices/{lamp}/commands", {"json": {"name": "reboot"}}),
    ]


async def answers(
    browser: Browser, lamp: str, headers: dict[str, str]
) -> list[tuple[str, httpx2.Response]]:
    return [
        (path, await browser.post(path, headers=headers, **body))  # type: ignore[arg-type]
        for path, body in unsafe_requests(lamp)
    ]


async def test_every_unsafe_route_refuses_a_session_without_the_token(
    rig: Rig, alice: Browser, lamp: str, neighbours: Neighbours
) -> None:
    for path, response in await answers(alice, lamp, SAME):
        assert response.status_code == 403, path

    assert neighbours.asked == []
    assert (await alice.get("/api/v2/devices")).status_code == 200


async def test_token_in_the_header_lets_scripts_through(
    rig: Rig, alice: Browser, lamp: str, neighbours: Neighbours
) -> None:
    headers = {**SAME, "x-csrf-token": alice.csrf}

    reached = [await alice.post(p, headers=headers, **b) for p, b in unsafe_requests(lamp)[1:]]  # type: ignore[arg-type]

    assert [response.status_code for response in reached] == [303, 303, 303, 200, 202]
    assert len(neighbours.asked) == 5


async def test_token_in_the_form_lets_forms_through(
    rig: Rig, alice: Browser, neighbours: Neighbours
) -> None:
    response = await alice.submit("/devices", name="Lamp")

    assert response.status_code == 303
    assert len(neighbours.asked) == 1


@pytest.mark.parametrize("token", ["", "wrong", "é", "\x7f", "A" * 44, "A" * 5000])
async def test_wrong_token_is_refused(
    rig: Rig, alice: Browser, neighbours: Neighbours, token: str
) -> None:
    header = [*SAME.items(), ("x-csrf-token", token)]
    raw = [(name.encode(), value.encode()) for name, value in header]

    in_form = await alice.post("/devices", headers=SAME, data={"csrf_token": token, "name": "L"})
    in_header = await alice.post("/devices", headers=raw, data={"name": "L"})

    assert (in_form.status_code, in_header.status_code) == (403, 403)
    assert neighbours.asked == []


async def test_token_of_another_session_is_refused(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    other = await rig.person(acme)

    response = await alice.post(
        "/devices", headers={**SAME, "x-csrf-token": other.csrf}, data={"name": "Lamp"}
    )

    assert response.status_code == 403
    assert neighbours.asked == []


async def test_header_is_not_made_good_by_the_form(
    rig: Rig, alice: Browser, neighbours: Neighbours
) -> None:
    response = await alice.post(
        "/devices",
        headers={**SAME, "x-csrf-token": "wrong"},
        data={"csrf_token": alice.csrf, "name": "Lamp"},
    )

    assert response.status_code == 403


async def test_token_does_not_outlive_the_log_in(rig: Rig, alice: Browser, acme: UUID) -> None:
    old = alice.csrf

    await rig.log_in(alice)
    response = await alice.post("/auth/logout", headers={**SAME, "x-csrf-token": old})

    assert response.status_code == 403


@pytest.mark.parametrize(
    "signs",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": ""},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": f"{PUBLIC_URL}.evil.example"},
        {"origin": f"{PUBLIC_URL}:444"},
        {"origin": PUBLIC_URL.replace("https", "http")},
        {"origin": PUBLIC_URL, "sec-fetch-site": "cross-site"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
    ],
    ids=str,
)
async def test_another_site_is_refused_though_it_knew_the_token(
    rig: Rig, alice: Browser, lamp: str, neighbours: Neighbours, signs: dict[str, str]
) -> None:
    for path, response in await answers(alice, lamp, {**signs, "x-csrf-token": alice.csrf}):
        assert response.status_code == 403, path

    assert neighbours.asked == []


async def test_old_browser_that_says_nothing_of_origins_needs_the_token_alone(
    rig: Rig, alice: Browser, neighbours: Neighbours
) -> None:
    response = await alice.post("/devices", data={"csrf_token": alice.csrf, "name": "Lamp"})

    assert response.status_code == 303


async def test_bearer_needs_no_token_and_the_cookie_beside_it_is_ignored(
    rig: Rig, alice: Browser, neighbours: Neighbours
) -> None:
    globex = rig.tenant("Globex")
    theirs = str(rig.device(globex))
    headers = {**rig.bearer(globex), "sec-fetch-site": "cross-site"}

    response = await alice.post(
        f"/api/v2/devices/{theirs}/commands", headers=headers, json={"name": "reboot"}
    )

    assert response.status_code == 202
    assert [call.tenant_id for call in neighbours.asked] == [globex]  # type: ignore[attr-defined]


async def test_forged_bearer_is_not_made_good_by_the_cookie_beside_it(
    rig: Rig, alice: Browser
) -> None:
    response = await alice.get("/api/v2/devices", headers={"authorization": "Bearer forged"})

    assert response.status_code == 401


async def test_safe_methods_need_no_token(rig: Rig, alice: Browser) -> None:
    assert (await alice.get("/devices", headers=HTML)).status_code == 200
    assert (await alice.head("/devices", headers=HTML)).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"a=" + b"x" * LONGEST_FORM, "application/x-www-form-urlencoded", 413),
        (b"&".join([b"a=1"] * (MOST_FIELDS + 1)), "application/x-www-form-urlencoded", 400),
        (b"name=%FF", "application/x-www-form-urlencoded", 400),
        (b"name=\xff", "application/x-www-form-urlencoded", 400),
        (b"name=%00", "application/x-www-form-urlencoded", 400),
        (b'{"csrf_token": "x"}', "application/json", 403),
        (b"csrf_token=x", "text/plain", 403),
        (b"--b\r\n\r\n--b--", "multipart/form-data; boundary=b", 403),
    ],
    ids=["too long", "too many", "no UTF-8", "raw byte", "null", "JSON", "text", "multipart"],
)
async def test_body_that_is_no_small_form_is_refused(
    rig: Rig, alice: Browser, neighbours: Neighbours, body: bytes, kind: str, status: int
) -> None:
    response = await alice.post("/devices", headers={**SAME, "content-type": kind}, content=body)

    assert response.status_code == status
    assert neighbours.asked == []
