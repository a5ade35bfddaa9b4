from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.ui_iot.tests.certificates import add_certificate
from services.ui_iot.tests.neighbours import TOKEN
from services.ui_iot.tests.rig import HTML, PUBLIC_URL, Browser, Rig

from pulse_common import events
from pulse_common.errors import Conflict, Malformed
from ui_iot import cookies
from ui_iot.handlers import PAGE_SIZE

if TYPE_CHECKING:
    from services.ui_iot.tests.neighbours import Neighbours

pytestmark = pytest.mark.anyio

SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


async def test_planted_script_is_text_on_every_page(rig: Rig, neighbours: Neighbours) -> None:
    tenant = rig.tenant(SCRIPT)
    device = rig.device(tenant, SCRIPT)
    rig.superuser.execute(
        "INSERT INTO device_last_state (tenant_id, device_id, last_seen_at, ts, metrics)"
        " VALUES (%s, %s, %s, %s, jsonb_build_object(%s::text, %s::text))",
        [tenant, device, rig.now, rig.now, SCRIPT, SCRIPT],
    )
    browser = await rig.person(tenant)
    neighbours.refusal = Malformed(SCRIPT)

    for page in (
        await browser.page("/devices"),
        await browser.page(f"/devices/{device}"),
        await browser.page(f"/devices/{device}/enrol"),
        await browser.submit("/devices", name=SCRIPT),
    ):
        assert "alert(1)" in page.text
        assert "<script>" not in page.text
        assert "<img" not in page.text
        assert "onerror=alert(1)>" not in page.text


async def test_pages_run_no_script_and_style_but_our_files(rig: Rig, alice: Browser) -> None:
    page = await alice.page("/devices")

    assert re.findall(r"<script(?![^>]*\bsrc=\"/static/)[^>]*>", page.text) == []
    assert " style=" not in page.text
    assert re.findall(r"\son[a-z]+=", page.text) == []


async def test_devices_are_listed_newest_first_and_page_by_page(rig: Rig, acme: UUID) -> None:
    # Ids are in the order of time, but for those of one millisecond.
    made = sorted(str(rig.device(acme, f"Lamp {i}")) for i in range(PAGE_SIZE + 1))
    browser = await rig.person(acme, "customer")

    first = await browser.page("/devices")
    second = await browser.page(next_url(first.text))

    assert listed(first.text) == made[:0:-1]
    assert listed(second.text) == made[:1]
    assert "More devices" not in second.text


def listed(html: str) -> list[str]:
    return re.findall(r'<tr data-testid="device-row" data-device-id="([^"]+)"', html)


def next_url(html: str) -> str:
    found = re.search(r'href="(/devices\?after=[^"]+)"', html)
    assert found is not None
    return found.group(1)


async def test_administrator_sees_what_a_customer_does_not(rig: Rig, acme: UUID) -> None:
    device = rig.device(acme)
    add_certificate(rig, acme, device)
    manage = ("add-device", "new-token", 'data-testid="revoke"', f"/devices/{device}/revoke")
    pages = {}
    for role in ("tenant-admin", "customer"):
        browser = await rig.person(acme, role)
        shown = [await browser.page(path) for path in ("/devices", f"/devices/{device}")]
        pages[role] = "".join(page.text for page in shown)

    assert [m in pages["tenant-admin"] for m in manage] == [True, False, True, True]
    assert [m in pages["customer"] for m in manage] == [False] * 4


async def test_customer_may_manage_nothing_and_can_leave(
    rig: Rig, acme: UUID, neighbours: Neighbours
) -> None:
    device = rig.device(acme)
    browser = await rig.person(acme, "customer")

    refused = [
        await browser.page("/devices/new"),
        await browser.page(f"/devices/{device}/enrol"),
        await browser.submit("/devices", name="Lamp"),
        await browser.submit(f"/devices/{device}/enrolment-tokens"),
        await browser.submit(f"/devices/{device}/revoke", reason="superseded"),
    ]

    assert [response.status_code for response in refused] == [403] * 5
    assert neighbours.asked == []
    assert 'action="/auth/logout"' in refused[0].text


async def test_new_devices_token_is_shown_once(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    neighbours.created = rig.device(acme)

    made = await alice.submit("/devices", name="Lamp")
    shown = await alice.page(made.headers["location"])
    again = await alice.page(made.headers["location"])

    assert (made.status_code, shown.status_code, again.status_code) == (303, 200, 200)
    assert (
        f'id="enrol-command">pulse-device enroll <span>--server {PUBLIC_URL}</span>' in shown.text
    )
    assert TOKEN in shown.text
    assert TOKEN not in again.text
    assert "cannot be shown again" in again.text


async def test_token_does_not_lie_open_in_the_browser(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    neighbours.created = rig.device(acme)

    made = await alice.submit("/devices", name="Lamp")

    cookie = made.headers["set-cookie"]
    assert cookie.startswith(f"{cookies.ENROLMENT}=")
    assert {"Secure", "HttpOnly", "Path=/", f"Max-Age={cookies.ENROLMENT_SECONDS}"} <= set(
        cookie.split("; ")
    )
    assert TOKEN not in str(made.headers)
    assert TOKEN not in made.text


async def test_token_is_shown_on_its_own_devices_page_only_and_in_time(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    neighbours.created = rig.device(acme)
    await alice.submit("/devices", name="Lamp")
    sealed = alice.cookies[cookies.ENROLMENT]

    elsewhere = await alice.page(f"/devices/{rig.device(acme)}/enrol")
    alice.cookies.set(cookies.ENROLMENT, sealed, domain="pulse.example")
    rig.pass_time(seconds=cookies.ENROLMENT_SECONDS)
    late = await alice.page(f"/devices/{neighbours.created}/enrol")

    assert TOKEN not in elsewhere.text
    assert TOKEN not in late.text


async def test_another_token_can_be_made(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    device = rig.device(acme)

    made = await alice.submit(f"/devices/{device}/enrolment-tokens")
    shown = await alice.page(made.headers["location"])

    assert TOKEN in shown.text
    assert isinstance(neighbours.asked[0], events.MintTokenRequest)


async def test_refused_name_comes_back_with_the_reason(
    rig: Rig, alice: Browser, neighbours: Neighbours
) -> None:
    neighbours.refusal = Malformed("a name has at most 100 characters")

    response = await alice.submit("/devices", name="Lamp & co")

    assert response.status_code == 400
    assert "a name has at most 100 characters" in response.text
    assert 'value="Lamp &amp; co"' in response.text


async def test_device_is_made_as_the_person(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    neighbours.created = rig.device(acme)

    await alice.submit("/devices", name="Lamp")

    [asked] = neighbours.asked
    assert isinstance(asked, events.CreateDeviceRequest)
    assert asked.name == "Lamp"
    assert asked.access_token.count(".") == 2
    assert asked.request_id is not None


async def test_revocation_says_who_and_why(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    device = rig.device(acme)

    response = await alice.submit(f"/devices/{device}/revoke", reason="keyCompromise")

    [asked] = neighbours.asked
    assert response.headers["location"] == f"/devices/{device}"
    assert isinstance(asked, events.RevokeRequest)
    assert (asked.tenant_id, asked.device_id, asked.reason) == (acme, device, "keyCompromise")
    assert asked.actor_id not in {"", str(acme)}


async def test_script_gets_the_page_after_a_revocation(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    device = rig.device(acme)
    headers = {**HTML, "hx-request": "true", "x-csrf-token": alice.csrf}

    response = await alice.post(
        f"/devices/{device}/revoke", data={"reason": "superseded"}, headers=headers
    )

    assert response.status_code == 200
    assert 'id="panels"' in response.text


@pytest.mark.parametrize("reason", ["", "certificateHold", "keycompromise", "removeFromCRL", "1"])
async def test_reason_must_be_one_of_those_offered(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours, reason: str
) -> None:
    response = await alice.submit(f"/devices/{rig.device(acme)}/revoke", reason=reason)

    assert response.status_code == 400
    assert neighbours.asked == []


async def test_refusal_of_a_neighbour_is_shown(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    neighbours.refusal = Conflict("the device has no valid certificate")

    response = await alice.submit(f"/devices/{rig.device(acme)}/revoke", reason="superseded")

    assert response.status_code == 409
    assert "no valid certificate" in response.text


async def test_absent_neighbour_is_said(rig: Rig, alice: Browser, acme: UUID) -> None:
    response = await alice.submit(f"/devices/{rig.device(acme)}/revoke", reason="superseded")

    assert response.status_code == 503
    assert "cert_worker did not answer" in response.text


async def test_certificate_shows_what_became_of_it(rig: Rig, alice: Browser, acme: UUID) -> None:
    device = rig.device(acme)
    add_certificate(rig, acme, device, serial_number="0a", revoked_at=rig.now, after_ms=1234)

    page = await alice.page(f"/devices/{device}")

    assert "<code>0a</code>" in page.text
    assert 'data-status="cut_off"' in page.text
    assert "1,234 ms" in page.text
    assert "superseded" in page.text


async def test_newest_certificate_counts(rig: Rig, alice: Browser, acme: UUID) -> None:
    device = rig.device(acme)
    add_certificate(rig, acme, device, serial_number="0a", revoked_at=rig.now)
    add_certificate(
        rig, acme, device, serial_number="0b", created_at=rig.now + timedelta(seconds=1)
    )

    page = await alice.page(f"/devices/{device}")

    assert "<code>0b</code>" in page.text
    assert "<code>0a</code>" not in page.text


async def test_history_names_the_viewer_and_nobody_else(rig: Rig, acme: UUID) -> None:
    browser = await rig.person(acme)
    device = rig.device(acme)
    row = rig.superuser.execute(
        "SELECT actor_id FROM audit_log WHERE tenant_id = %s", [acme]
    ).fetchone()
    assert row is not None
    for actor, outcome in ((row[0], "success"), ("carol@acme.example", "denied")):
        rig.superuser.execute(
            "INSERT INTO audit_log (tenant_id, audit_id, actor_kind, actor_id, action, object_kind,"
            " object_id, outcome) VALUES (%s, %s, 'user', %s, 'certificate.revoke', 'device', %s, %s)",
            [acme, uuid4(), actor, str(device), outcome],
        )

    page = await browser.page(f"/devices/{device}")

    assert "by you" in page.text
    assert "Certificate revoked: denied" in page.text
    assert "by a colleague" in page.text
    assert "carol@acme.example" not in page.text


@pytest.mark.parametrize(
    "device",
    [
        "nonsense",
        "0" * 36,
        "0190F000-0000-7000-8000-00000000000A",
        "%00",
        f"urn:uuid:{UUID(int=1)}",
        "é",
    ],
)
async def test_mistyped_address_is_nothing(rig: Rig, alice: Browser, device: str) -> None:
    page = await alice.page(f"/devices/{device}")

    assert page.status_code == 404
    assert "Log out" in page.text


async def test_mistyped_place_in_the_list_is_refused(rig: Rig, alice: Browser) -> None:
    assert (await alice.page("/devices?after=nonsense")).status_code == 400
