"""What the broker refused shows where its owner looks, with the reason, and nobody else sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.waiting import eventually
from tests.integration.world import reading

if TYPE_CHECKING:
    from tests.integration.people import Person
    from tests.integration.world import Device

pytestmark = pytest.mark.integration


def denials(person: Person, device: Device) -> list[dict[str, Any]]:
    answer = person.browser.get(f"/api/v2/devices/{device.device_id}/denials")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["denials"]
    return found


def test_publish_outside_the_tree_shows_on_the_devices_page_and_nowhere_else(
    alice: Person, mallory: Person, device_a: Device, device_b: Device
) -> None:
    with device_a.online() as peer:
        peer.publish(device_b.telemetry, reading(stolen=1))

    found = eventually(
        lambda: next(
            (one for one in denials(alice, device_a) if one["topic"] == device_b.telemetry), None
        ),
        "the refusal among the device's",
    )
    page = alice.browser.get(f"/devices/{device_a.device_id}/refusals")
    hidden = mallory.browser.get(f"/api/v2/devices/{device_a.device_id}/denials")

    assert (found["action"], found["reason"]) == ("publish", "topic_not_allowed")
    assert found["rule"] == "deny all #"
    assert device_b.telemetry in page.text
    assert hidden.status_code == 404
    assert all(one["topic"] != device_b.telemetry for one in denials(mallory, device_b))


@pytest.mark.parametrize(
    ("topic", "allowed"), [("{own}/telemetry", True), ("{other}/telemetry", False), ("#", False)]
)
def test_dry_run_on_the_page_is_answered_by_the_gate(
    alice: Person, device_a: Device, device_b: Device, topic: str, *, allowed: bool
) -> None:
    asked = {
        "action": "publish",
        "topic": topic.format(own=device_a.tree, other=device_b.tree),
        "qos": "1",
    }

    page = alice.browser.get(f"/devices/{device_a.device_id}/refusals", params=asked)

    assert page.status_code == 200
    assert ("<b>Allowed.</b>" in page.text) == allowed
    assert ("<b>Refused.</b>" in page.text) != allowed


def test_findings_are_shown(alice: Person, device_a: Device) -> None:
    with device_a.online():
        answer = alice.browser.get("/api/v2/findings")
        page = alice.browser.get("/findings")

    assert answer.status_code == 200
    assert page.status_code == 200
    assert not [one for one in answer.json()["findings"] if one["check"] == "weak_key"]
