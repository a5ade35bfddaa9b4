"""A tenant's program, from outside: a token by its own secret through the edge, and its own tenant's API by it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from tests.integration.people import edge_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2
    from tests.integration.world import Device

    from pulse_local.stack import Stack

pytestmark = pytest.mark.integration


@pytest.fixture
def program(stack: Stack) -> Iterator[httpx2.Client]:
    """Sign in Acme's program."""
    with edge_client(stack.environments) as client:
        answer = client.post(
            "/realms/pulse/protocol/openid-connect/token",
            data={"grant_type": "client_credentials"},
            auth=("pulse-api-acme", stack.secrets.oidc_api_client),
        )
        assert answer.status_code == 200, answer.text
        client.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


def test_program_reads_its_own_tenants_devices_and_no_others(
    program: httpx2.Client, device_a: Device, device_b: Device
) -> None:
    # The page, newest first, that begins with this device: others' tests may have filled those before it.
    listed = program.get(f"/api/v2/devices?after={UUID(int=UUID(device_a.device_id).int + 1)}")
    own = program.get(f"/api/v2/devices/{device_a.device_id}")
    foreign = program.get(f"/api/v2/devices/{device_b.device_id}")

    assert (listed.status_code, own.status_code, foreign.status_code) == (200, 200, 404)
    assert device_a.device_id in listed.text
    assert device_b.device_id not in listed.text
    assert '"api";q=' in listed.headers["ratelimit-policy"]
    assert '"tenant";q=' in listed.headers["ratelimit-policy"]


def test_programs_role_decides_at_both_services(program: httpx2.Client) -> None:
    by_ui = program.post("/api/v2/devices", json={"name": "Lamp"})
    by_provisioning = program.post("/api/v1/provision/devices", json={"name": "Lamp"})

    # Known to both, and a customer's: not refused as a stranger.
    assert (by_ui.status_code, by_provisioning.status_code) == (403, 403)
