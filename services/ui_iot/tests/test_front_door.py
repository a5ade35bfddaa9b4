"""Nobody of a suspended tenant logs in; of one that is being deleted its administrators do, to the archive alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.rig import Browser, Rig, claims_of
from services.ui_iot.tests.test_archive import set_status

from ui_iot import cookies

if TYPE_CHECKING:
    from uuid import UUID

    import httpx2

pytestmark = pytest.mark.anyio


async def try_to_log_in(
    rig: Rig, browser: Browser, claims: dict[str, object], begin: str = "/auth/login"
) -> httpx2.Response:
    begun = await browser.page(begin)
    query = rig.provider.approve(begun.headers["location"], claims)
    return await browser.page(f"/auth/callback?{query}")


@pytest.mark.parametrize("role", ["tenant-admin", "customer"])
@pytest.mark.parametrize("begin", ["/auth/login", "/auth/login?step_up=1&next=/archive"])
async def test_nobody_of_a_suspended_tenant_logs_in_and_is_told_why(
    rig: Rig, acme: UUID, role: str, begin: str
) -> None:
    set_status(rig, acme, "suspended")
    claims = claims_of(acme, role)

    answer = await try_to_log_in(rig, rig.browser(), claims, begin)

    assert answer.status_code == 403
    assert "You cannot log in now" in answer.text
    assert "Acme is suspended" in answer.text
    assert cookies.SESSION not in answer.cookies
    assert rig.sessions(claims["sub"]) == 0


async def test_who_tried_is_in_the_tenants_log_and_out_at_the_identity_provider(
    rig: Rig, acme: UUID
) -> None:
    set_status(rig, acme, "suspended")
    claims = claims_of(acme, "tenant-admin")

    await try_to_log_in(rig, rig.browser(), claims)

    found = rig.superuser.execute(
        "SELECT action, actor_id, outcome, reason FROM audit_log WHERE tenant_id = %s", [acme]
    ).fetchall()
    assert found == [("session.begin", claims["sub"], "denied", "tenant is suspended")]
    assert len(rig.provider.revoked) == 1


async def test_resuming_lets_the_same_people_in_again(rig: Rig, acme: UUID) -> None:
    claims, browser = claims_of(acme, "tenant-admin"), rig.browser()
    set_status(rig, acme, "suspended")
    refused = await try_to_log_in(rig, browser, claims)
    set_status(rig, acme, "active")

    let_in = await try_to_log_in(rig, browser, claims)

    assert (refused.status_code, let_in.status_code) == (403, 200)
    assert (await browser.page("/devices")).status_code == 200


async def test_administrator_of_a_leaving_tenant_is_led_to_its_archive(
    rig: Rig, acme: UUID
) -> None:
    set_status(rig, acme, "deleting")
    browser = rig.browser()

    answer = await try_to_log_in(
        rig, browser, claims_of(acme, "tenant-admin"), "/auth/login?next=/devices"
    )

    assert answer.status_code == 200
    assert 'content="0; url=/archive"' in answer.text
    assert (await browser.page("/archive")).status_code == 200


@pytest.mark.parametrize(
    ("status", "role", "told"),
    [
        ("deleting", "customer", "only its administrators"),
        ("deleted", "tenant-admin", "is deleted"),
    ],
)
async def test_others_of_a_leaving_tenant_and_all_of_a_purged_one_are_refused(
    rig: Rig, acme: UUID, status: str, role: str, told: str
) -> None:
    set_status(rig, acme, status)

    answer = await try_to_log_in(rig, rig.browser(), claims_of(acme, role))

    assert answer.status_code == 403
    assert told in answer.text
    assert cookies.SESSION not in answer.cookies
