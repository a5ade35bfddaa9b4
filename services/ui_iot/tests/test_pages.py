from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.ui_iot.tests.certificates import add_certificate

from pulse_common.errors import Malformed
from ui_iot.handlers import PAGE_SIZE

if TYPE_CHECKING:
    from services.ui_iot.tests.neighbours import Neighbours
    from services.ui_iot.tests.rig import Browser, Rig

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
