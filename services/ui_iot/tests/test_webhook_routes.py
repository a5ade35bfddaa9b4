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


async def test_dead_letters_are_listed_page_by_page_and_shown_to_their_tenant_alone(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    route, device = uuid4(), uuid4()
    rig.superuser.execute(
        "INSERT INTO routes (tenant_id, route_id, name, url, event_types, secret_sealed)"
        " VALUES (%s, %s, 'A', 'https://a.example/', '{telemetry}', 'sealed')",
        [acme, route],
    )
    # Some at the same moment: the cursor must not lose the others of it.
    rig.superuser.execute(
        "INSERT INTO delivery_dead_letters (tenant_id, delivery_id, route_id, event_type, device_id, died_at, attempts,"
        " reason, message) SELECT %s, 'msg_' || to_hex(n), %s, 'telemetry', CASE n WHEN 7 THEN %s::uuid END,"
        " '2026-01-01T00:00Z'::timestamptz + make_interval(hours => n / 50), 8, 'no', '{\"body\": \"{}\"}'"
        " FROM generate_series(1, 230) n",
        [acme, route, device],
    )
    path = f"/api/v2/routes/{route}/dead-letters"

    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = (await alice.get(path + after)).json()
        seen += [one["delivery_id"] for one in page["dead_letters"]]
        # What stood at the cursor is delivered anew meanwhile.
        rig.superuser.execute(
            "DELETE FROM delivery_dead_letters WHERE delivery_id = %s", [seen[-1]]
        )
        after = f"?after={page['next_after']}" if page["next_after"] else None

    assert len(seen) == len(set(seen)) == 230
    of_device = (await alice.get(f"{path}?device_id={device}")).json()["dead_letters"]
    assert [one["delivery_id"] for one in of_device] == ["msg_7"]
    early = (await alice.get(f"{path}?until=2026-01-01T00:30:00Z")).json()["dead_letters"]
    assert len(early) == 47
    assert (await alice.get(f"{path}/msg_7")).json()["body"] == "{}"
    for wrong in (f"{path}/msg_0", f"/api/v2/routes/{uuid4()}/dead-letters"):
        assert (await alice.get(wrong)).status_code == 404
    for cursor in ("x", "9" * 18 + "_msg_1"):
        assert (await alice.get(f"{path}?after={cursor}")).status_code == 400
    stranger = await rig.person(rig.tenant("Other"))
    for hidden in (path, f"{path}/msg_7"):
        assert (await stranger.get(hidden)).status_code == 404


async def test_log_is_filtered_by_how_far_attempts_came(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    route = uuid4()
    rig.superuser.execute(
        "INSERT INTO routes (tenant_id, route_id, name, url, event_types, secret_sealed)"
        " VALUES (%s, %s, 'A', 'https://a.example/', '{telemetry}', 'sealed')",
        [acme, route],
    )
    for stage in ("before", "during", "after"):
        rig.superuser.execute(
            "INSERT INTO delivery_attempts (tenant_id, attempt_id, route_id, delivery_id, event_type, attempt,"
            " attempted_at, stage, delivered, latency_ms, response_body)"
            " VALUES (%s, %s, %s, 'msg_1', 'telemetry', 1, now(), %s, false, 7, %s)",
            [acme, uuid4(), route, stage, f"said {stage}"],
        )

    for stage in ("before", "during", "after"):
        log = (await alice.get(f"/api/v2/deliveries?stage={stage}")).json()["deliveries"]
        page = (await alice.page(f"/routes?stage={stage}")).text
        assert [one["stage"] for one in log] == [stage]
        assert [word in page for word in ("said before", "said during", "said after")] == [
            word == stage for word in ("before", "during", "after")
        ]
    assert (await alice.get("/api/v2/deliveries?stage=elsewhere")).status_code == 400
