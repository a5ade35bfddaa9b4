from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.neighbours import TOKEN
from services.ui_iot.tests.rig import HTML, PUBLIC_URL, Browser, Rig

from pulse_common import events
from pulse_common.errors import Conflict, Malformed
from ui_iot import cookies

if TYPE_CHECKING:
    from uuid import UUID

    from services.ui_iot.tests.neighbours import Neighbours

pytestmark = pytest.mark.anyio


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
