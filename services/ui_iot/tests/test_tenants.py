"""One tenant's people, whatever they ask for, see nothing of another's."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.ui_iot.tests.rig import HTML, Browser, Rig

if TYPE_CHECKING:
    import httpx2
    from services.ui_iot.tests.neighbours import Neighbours

pytestmark = pytest.mark.anyio


async def ask_everything(browser: Browser, device: UUID) -> dict[str, httpx2.Response]:
    """Call every route that names a device."""
    page, api = f"/devices/{device}", f"/api/v2/devices/{device}"
    csrf = {"x-csrf-token": browser.csrf}
    return {
        "page": await browser.page(page),
        "enrol": await browser.page(f"{page}/enrol"),
        "token": await browser.submit(f"{page}/enrolment-tokens"),
        "revoke": await browser.submit(f"{page}/revoke", reason="superseded"),
        "api": await browser.get(api),
        "telemetry": await browser.get(f"{api}/telemetry"),
        "api revoke": await browser.post(
            f"{api}/revoke", json={"reason": "superseded"}, headers=csrf
        ),
        "command": await browser.post(f"{api}/commands", json={"name": "reboot"}, headers=csrf),
    }


async def test_another_tenants_device_is_not_there(
    rig: Rig, alice: Browser, neighbours: Neighbours
) -> None:
    globex = rig.tenant("Globex")
    theirs = await ask_everything(alice, rig.device(globex, "Reactor"))
    nobodys = await ask_everything(alice, uuid4())

    for route, response in theirs.items():
        assert response.status_code == 404, route
        assert "Reactor" not in response.text
        assert "Globex" not in response.text
        assert response.headers["content-type"] == nobodys[route].headers["content-type"]
    assert neighbours.asked == []


async def test_lists_hold_the_own_tenants_devices_only(
    rig: Rig, alice: Browser, acme: UUID
) -> None:
    rig.device(rig.tenant("Globex"), "Reactor")
    own = rig.device(acme, "Lamp")

    page = await alice.page("/devices")
    listed = await alice.get("/api/v2/devices")

    assert "Reactor" not in page.text
    assert [device["id"] for device in listed.json()["devices"]] == [str(own)]


async def test_place_in_anothers_list_shows_nothing_of_it(
    rig: Rig, alice: Browser, acme: UUID
) -> None:
    own = rig.device(acme)
    after = rig.device(rig.tenant("Globex"), "Reactor")

    listed = await alice.get(f"/api/v2/devices?after={after}")

    assert [device["id"] for device in listed.json()["devices"]] == [str(own)]


async def test_history_of_another_tenant_with_the_same_device_id_is_not_shown(
    rig: Rig, alice: Browser, acme: UUID
) -> None:
    device = rig.device(acme)
    rig.superuser.execute(
        "INSERT INTO audit_log (tenant_id, audit_id, actor_kind, actor_id, action, object_kind,"
        " object_id, outcome) VALUES (%s, %s, 'user', 'mallory', 'secret.act', 'device', %s, 'success')",
        [rig.tenant("Globex"), uuid4(), str(device)],
    )

    page = await alice.page(f"/devices/{device}")

    assert "secret act" not in page.text


async def test_suspended_tenant_is_shut_out_everywhere_and_can_leave(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    device = rig.device(acme)
    rig.superuser.execute("UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [acme])

    answers = await ask_everything(alice, device)
    answers["devices"] = await alice.page("/devices")
    answers["new"] = await alice.page("/devices/new")
    answers["create"] = await alice.submit("/devices", name="Lamp")
    answers["api devices"] = await alice.get("/api/v2/devices")

    for route, response in answers.items():
        assert response.status_code == 403, route
    assert neighbours.asked == []
    assert "your tenant is not active" in answers["devices"].text
    assert (await alice.submit("/auth/logout")).status_code == 303


async def test_tenant_that_is_not_known_here_is_shut_out(rig: Rig) -> None:
    browser = await rig.person(uuid4())

    assert (await browser.get("/devices", headers=HTML)).status_code == 403
    assert (await browser.get("/api/v2/devices")).status_code == 403
