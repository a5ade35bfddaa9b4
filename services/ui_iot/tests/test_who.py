"""Who asks: what the API and the pages tell somebody about themselves, and where the CSRF token is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.rig import claims_of

if TYPE_CHECKING:
    from uuid import UUID

    from services.ui_iot.tests.rig import Browser, Rig

pytestmark = pytest.mark.anyio


async def test_operator_has_sessions_too(rig: Rig, acme: UUID) -> None:
    claims = {**claims_of(acme, "operator"), "tenant_id": ...}
    olivia = await rig.log_in(rig.browser(), **claims)

    assert (await olivia.page("/sessions")).status_code == 200
    who = (await olivia.get("/api/v2/session")).json()
    assert (who["tenant"], who["roles"]) == (None, ["operator"])


async def test_who_asks_is_told_with_the_csrf_token_in_the_header_alone(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    response = await alice.get("/api/v2/session")

    assert response.json() == {
        "name": "Alice Archer",
        "email": "alice@acme.example",
        "tenant": {"id": str(acme), "name": "Acme"},
        "roles": ["tenant-admin"],
    }
    assert response.headers["x-csrf-token"] == alice.csrf
    assert response.headers["cache-control"] == "no-store"
    page = await alice.page("/devices")
    assert page.headers["x-csrf-token"] == alice.csrf
    by_token = await rig.browser().get("/api/v2/session", headers=rig.bearer(acme))
    assert "x-csrf-token" not in by_token.headers
    assert "x-csrf-token" not in (await rig.browser().page("/")).headers


async def test_suspended_tenants_people_see_no_sessions(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    rig.superuser.execute("UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [acme])

    for path in ("/sessions", "/api/v2/session", "/api/v2/sessions"):
        assert (await alice.get(path)).status_code == 403
