"""Routes and their log, for administrators of their own tenant alone."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

if TYPE_CHECKING:
    from services.ui_iot.tests.rig import Browser, Rig

pytestmark = pytest.mark.anyio
SCRIPT = "<script>alert(1)</script>"


async def test_routes_and_attempts_are_shown_to_their_tenant_alone(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    route = uuid4()
    rig.superuser.execute(
        "INSERT INTO routes (tenant_id, route_id, name, url, event_types, secret_sealed)"
        " VALUES (%s, %s, %s, 'https://a.example/', '{telemetry}', 'sealed')",
        [acme, route, SCRIPT],
    )
    rig.superuser.execute(
        "INSERT INTO delivery_attempts (tenant_id, attempt_id, route_id, delivery_id, event_type, attempt,"
        " attempted_at, stage, delivered, status, error, latency_ms, response_body)"
        " VALUES (%s, %s, %s, 'msg_1', 'telemetry', 1, now(), 'after', false, 500, 'no', 7, %s)",
        [acme, uuid4(), route, SCRIPT],
    )

    listed = (await alice.get("/api/v2/routes")).json()["routes"]
    log = (await alice.get("/api/v2/deliveries?outcome=failed")).json()["deliveries"]
    page = await alice.page("/routes")

    assert [one["id"] for one in listed] == [str(route)]
    assert "sealed" not in str(listed)
    assert [one["status"] for one in log] == [500]
    assert (await alice.get("/api/v2/deliveries?outcome=delivered")).json()["deliveries"] == []
    assert page.status_code == 200
    assert page.text.count('data-testid="attempt-row"') == 1
    assert "<script>alert" not in page.text
    assert (await alice.get(f"/api/v2/routes/{uuid4()}")).status_code == 404
