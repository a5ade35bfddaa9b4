from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.neighbours import TOKEN, Neighbours

from pulse_common import events
from pulse_common.errors import AppError, Malformed, NotFound, Stale, Unavailable

if TYPE_CHECKING:
    from uuid import UUID

    import httpx2
    from services.ui_iot.tests.rig import Browser, Rig

pytestmark = pytest.mark.anyio

DEVICES = "/api/v2/devices"


async def test_device_is_made_in_the_persons_name_and_its_token_shown(
    rig: Rig, alice: Browser, neighbours: Neighbours
) -> None:
    response = await alice.post(
        DEVICES, json={"name": "Größe"}, headers={"x-csrf-token": alice.csrf}
    )

    [asked] = neighbours.asked
    assert isinstance(asked, events.CreateDeviceRequest)
    assert asked.access_token
    assert response.status_code == 201
    assert response.headers["location"] == f"{DEVICES}/{asked.device_id}"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "device": {
            "id": str(asked.device_id),
            "name": "Größe",
            "status": "never",
            "created_at": "2026-01-01T12:00:00Z",
            "last_seen_at": None,
            "latest": {},
        },
        "enrolment_token": {"token": TOKEN, "expires_at": "2026-01-02T12:00:00Z"},
    }


async def test_change_with_a_cookie_needs_the_csrf_token(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    device = rig.device(acme)

    created = await alice.post(DEVICES, json={"name": "Lamp"})
    renamed = await alice.patch(
        f"{DEVICES}/{device}", json={"name": "Pump"}, headers={"if-match": "*"}
    )

    assert (created.status_code, renamed.status_code) == (403, 403)
    assert neighbours.asked == []


async def test_suspended_tenant_makes_and_renames_nothing(
    rig: Rig, acme: UUID, neighbours: Neighbours
) -> None:
    browser, headers = rig.browser(), rig.bearer(acme)
    device = rig.device(acme)
    rig.superuser.execute("UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [acme])

    answers = [
        await browser.post(DEVICES, json={"name": "Lamp"}, headers=headers),
        await browser.post(
            DEVICES, json={"name": "Lamp"}, headers={**headers, "idempotency-key": "k"}
        ),
        await browser.patch(
            f"{DEVICES}/{device}", json={"name": "Pump"}, headers={**headers, "if-match": "*"}
        ),
    ]

    assert [answer.status_code for answer in answers] == [403] * 3
    assert neighbours.asked == []


async def rename(
    rig: Rig, tenant: UUID, device: UUID, **headers: str
) -> tuple[httpx2.Response, dict[str, str]]:
    bearer = rig.bearer(tenant)
    sent = {**bearer, **{name.replace("_", "-"): value for name, value in headers.items()}}
    path = f"{DEVICES}/{device}"
    return await rig.browser().patch(path, json={"name": "Pump"}, headers=sent), bearer


async def test_rename_with_the_tag_that_was_read(
    rig: Rig, acme: UUID, neighbours: Neighbours
) -> None:
    device = rig.device(acme)
    read = await rig.browser().get(f"{DEVICES}/{device}", headers=rig.bearer(acme))

    response, _ = await rename(rig, acme, device, if_match=read.headers["etag"])

    [asked] = neighbours.asked
    assert isinstance(asked, events.RenameDeviceRequest)
    assert (asked.device_id, asked.name, asked.version) == (device, "Pump", 1)
    assert (response.status_code, response.json()["name"]) == (200, "Pump")
    assert response.headers["etag"].startswith('"v7-')


async def test_rename_without_a_tag_is_refused(
    rig: Rig, acme: UUID, neighbours: Neighbours
) -> None:
    response, _ = await rename(rig, acme, rig.device(acme))

    assert response.status_code == 428
    assert neighbours.asked == []


async def test_rename_with_a_tag_of_before_is_refused(
    rig: Rig, acme: UUID, neighbours: Neighbours
) -> None:
    device = rig.device(acme)
    read = await rig.browser().get(f"{DEVICES}/{device}", headers=rig.bearer(acme))
    rig.superuser.execute("UPDATE devices SET version = 2 WHERE device_id = %s", [device])

    response, _ = await rename(rig, acme, device, if_match=read.headers["etag"])

    assert response.status_code == 412
    assert neighbours.asked == []


async def test_another_tenants_device_cannot_be_renamed(
    rig: Rig, acme: UUID, neighbours: Neighbours
) -> None:
    response, _ = await rename(rig, acme, rig.device(rig.tenant("Globex")), if_match="*")

    assert response.status_code == 404
    assert neighbours.asked == []


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(Stale("x"), 412), (Malformed("x"), 400), (NotFound("x"), 404), (Unavailable("x"), 503)],
)
async def test_refusal_next_door_is_the_answer(
    rig: Rig, acme: UUID, neighbours: Neighbours, refusal: AppError, status: int
) -> None:
    neighbours.refusal = refusal

    response, _ = await rename(rig, acme, rig.device(acme), if_match="*")

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
