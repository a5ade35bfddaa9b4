"""Device tokens on the device's pages: for administrators, shown once, with how long a revocation took."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.ui_iot.tests.neighbours import DEVICE_TOKEN

from pulse_common.errors import Conflict
from pulse_common.events_device_tokens import (
    MintDeviceTokenRequest,
    PermitDeviceTokensRequest,
    RevokeDeviceTokenRequest,
)

if TYPE_CHECKING:
    from services.ui_iot.tests.neighbours import Neighbours
    from services.ui_iot.tests.rig import Browser, Rig

pytestmark = pytest.mark.anyio


@pytest.fixture
def device(rig: Rig, acme: UUID) -> UUID:
    made = rig.device(acme)
    rig.superuser.execute("UPDATE devices SET tokens_allowed = true WHERE device_id = %s", [made])
    return made


def hold(rig: Rig, tenant: UUID, device: UUID, cut_after_ms: int | None = None) -> UUID:
    """Give the device a token; with ``cut_after_ms`` one that was revoked and cut."""
    token = uuid4()
    revoked = None if cut_after_ms is None else rig.now - timedelta(minutes=5)
    cut = None if revoked is None else revoked + timedelta(milliseconds=cut_after_ms or 0)
    rig.superuser.execute(
        "INSERT INTO device_tokens (tenant_id, token_id, device_id, token_hash, created_at, created_by, expires_at,"
        " revoked_at, session_cut_at) VALUES (%s, %s, %s, sha256(%s), %s, 'alice', %s, %s, %s)",
        [
            *(tenant, token, device, token.bytes, rig.now - timedelta(days=1)),
            *(rig.now + timedelta(days=1), revoked, cut),
        ],
    )
    return token


async def test_tokens_are_listed_with_their_state_and_how_long_a_cut_took(
    rig: Rig, acme: UUID, alice: Browser, device: UUID
) -> None:
    good, gone = hold(rig, acme, device), hold(rig, acme, device, cut_after_ms=312)

    page = (await alice.page(f"/devices/{device}/tokens")).text
    panel = (await alice.page(f"/devices/{device}")).text

    assert str(good) in page
    assert str(gone) in page
    assert "silent after 312 ms" in page
    assert page.count('data-testid="token-revoke"') == 1
    assert "1 that counts" in panel


async def test_new_token_is_shown_once(
    alice: Browser, device: UUID, neighbours: Neighbours
) -> None:
    made = await alice.submit(f"/devices/{device}/tokens", days="30")
    once = await alice.page(made.headers["location"])
    again = await alice.page(made.headers["location"])

    (asked,) = neighbours.asked
    assert isinstance(asked, MintDeviceTokenRequest)
    assert (asked.device_id, asked.expires_in_seconds) == (device, 30 * 86_400)
    assert asked.access_token.count(".") == 2
    assert DEVICE_TOKEN in once.text
    assert f"tenant/{device}" in once.text
    assert once.headers["cache-control"] == "no-store"
    assert DEVICE_TOKEN not in again.text


async def test_token_of_one_device_is_not_shown_on_another_s_page(
    rig: Rig, acme: UUID, alice: Browser, device: UUID
) -> None:
    await alice.submit(f"/devices/{device}/tokens", days="1")

    assert DEVICE_TOKEN not in (await alice.page(f"/devices/{rig.device(acme)}/tokens")).text


async def test_switch_and_revocation_are_asked_for_as_the_person(
    rig: Rig, acme: UUID, alice: Browser, device: UUID, neighbours: Neighbours
) -> None:
    token = hold(rig, acme, device)

    await alice.submit(f"/devices/{device}/tokens/permit", allowed="no")
    await alice.submit(f"/devices/{device}/tokens/{token}/revoke")

    switch, revocation = neighbours.asked
    assert isinstance(switch, PermitDeviceTokensRequest)
    assert (switch.device_id, switch.allowed) == (device, False)
    assert isinstance(revocation, RevokeDeviceTokenRequest)
    assert (revocation.device_id, revocation.token_id) == (device, token)


async def test_profile_that_allows_tokens_is_named(rig: Rig, acme: UUID, alice: Browser) -> None:
    device, profile = rig.device(acme), uuid4()
    rig.superuser.execute(
        "INSERT INTO device_profiles (tenant_id, profile_id, name, tokens_allowed) VALUES (%s, %s, 'Old <b>', true)",
        [acme, profile],
    )
    rig.superuser.execute(
        "UPDATE devices SET profile_id = %s WHERE device_id = %s", [profile, device]
    )

    page = (await alice.page(f"/devices/{device}/tokens")).text

    assert "Old &lt;b&gt;" in page
    assert 'data-testid="token-mint"' in page


async def test_refusal_comes_back_with_its_reason(
    alice: Browser, device: UUID, neighbours: Neighbours
) -> None:
    neighbours.refusal = Conflict("the device has 2 good tokens: revoke one first")

    answer = await alice.submit(f"/devices/{device}/tokens", days="90")

    assert answer.status_code == 409
    assert "revoke one first" in answer.text


async def test_device_of_another_tenant_and_nonsense_are_not_there(
    rig: Rig, alice: Browser, device: UUID, neighbours: Neighbours
) -> None:
    theirs = rig.device(rig.tenant("Globex"))

    assert (await alice.page(f"/devices/{theirs}/tokens")).status_code == 404
    assert (await alice.page("/devices/x/tokens")).status_code == 404
    assert (await alice.submit(f"/devices/{theirs}/tokens", days="90")).status_code == 404
    assert (await alice.submit(f"/devices/{device}/tokens/x/revoke")).status_code == 404
    assert (await alice.submit(f"/devices/{device}/tokens", days="999")).status_code == 400
    assert neighbours.asked == []
