"""Tenant B's live view never shows what tenant A's devices send, whatever it subscribes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.live_view import open_live_view
from tests.integration.waiting import eventually
from tests.integration.world import reading

if TYPE_CHECKING:
    from tests.integration.people import Person
    from tests.integration.world import Device

    from pulse_local.stack import Stack

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("asked_for", ["the device of A", "all", "both devices"])
def test_another_tenants_readings_do_not_arrive(
    stack: Stack,
    alice: Person,
    mallory: Person,
    device_a: Device,
    device_b: Device,
    asked_for: str,
) -> None:
    wanted: dict[str, list[str] | str] = {
        "the device of A": [device_a.device_id],
        "all": "all",
        "both devices": [device_a.device_id, device_b.device_id],
    }
    with (
        open_live_view(stack, cookies=alice.cookies) as of_a,
        open_live_view(stack, cookies=mallory.cookies) as of_b,
        device_a.online() as a,
        device_b.online() as b,
    ):
        of_a.subscribe([device_a.device_id])
        of_b.subscribe(wanted[asked_for])

        def a_hears_a() -> bool:
            # Again and again, since nobody says when a subscription has taken effect.
            a.publish(device_a.telemetry, reading(secret_of_a=1))
            return of_a.heard("secret_of_a")

        eventually(a_hears_a, "A's reading in A's live view")
        # B's socket is alive, and what B may see comes after what it may not.
        if asked_for == "the device of A":
            of_b.subscribe([device_b.device_id])
        eventually(
            lambda: b.publish(device_b.telemetry, reading(own=1)) and of_b.heard("own"),
            "B's reading in B's live view",
        )

    assert not of_b.heard("secret_of_a")
    assert not of_b.heard(device_a.device_id)
    assert not of_a.heard(device_b.device_id)


def test_nobody_watches_without_a_session(stack: Stack) -> None:
    with open_live_view(stack) as stranger:
        assert stranger.wait_until_closed() == 4401


def test_another_site_cannot_watch_with_a_visitors_session(stack: Stack, alice: Person) -> None:
    with open_live_view(stack, cookies=alice.cookies, origin="https://evil.example") as other:
        assert other.wait_until_closed() == 4403
