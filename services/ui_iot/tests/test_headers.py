from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.rig import HTML, Browser, Rig, claims_of

if TYPE_CHECKING:
    from uuid import UUID

    import httpx2

pytestmark = pytest.mark.anyio


def assert_guarded(response: httpx2.Response) -> None:
    headers = response.headers
    policy = headers["content-security-policy"].split("; ")
    assert headers.get_list("content-security-policy") == [headers["content-security-policy"]]
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert {"base-uri 'none'", "style-src 'self'"} <= set(policy)
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert "camera=()" in headers["permissions-policy"]


async def test_every_answer_carries_the_security_headers(
    rig: Rig, alice: Browser, acme: UUID
) -> None:
    answers = [
        await alice.page("/devices"),
        await alice.get("/api/v2/devices"),
        await alice.page("/devices/nonsense"),
        await alice.get("/api/v2/devices/nonsense"),
        await alice.post("/devices"),
        await alice.delete("/devices"),
        await alice.page("/nothing"),
        await alice.get("/static/css/tokens.css"),
        await alice.get("/static/nothing.css"),
        await rig.browser().page("/"),
        await rig.browser().page("/devices"),
        await rig.browser().page("/auth/login"),
        await rig.browser().page("/auth/callback"),
        await rig.browser().get("/healthz"),
    ]

    assert {response.status_code for response in answers} == {200, 303, 400, 403, 404, 405}
    for response in answers:
        assert_guarded(response)


@pytest.mark.parametrize("headers", [HTML, {}], ids=str)
async def test_bug_is_a_bare_500_with_the_same_headers(
    rig: Rig, alice: Browser, headers: dict[str, str]
) -> None:
    rig.superuser.execute("ALTER TABLE devices RENAME TO put_aside")
    try:
        response = await alice.get("/devices", headers=headers)
    finally:
        rig.superuser.execute("ALTER TABLE put_aside RENAME TO devices")

    assert response.status_code == 500
    assert "put_aside" not in response.text
    assert "relation" not in response.text
    assert response.headers["cache-control"] == "no-store"
    assert_guarded(response)


async def test_nothing_private_is_kept_by_a_cache(rig: Rig, alice: Browser, acme: UUID) -> None:
    device = rig.device(acme)
    answers = [
        await alice.page("/devices"),
        await alice.page("/devices/new"),
        await alice.page(f"/devices/{device}"),
        await alice.page(f"/devices/{device}/enrol"),
        await alice.get(f"/api/v2/devices/{device}"),
        await alice.get(f"/api/v2/devices/{device}/telemetry"),
        await alice.get("/api/v2/devices/nonsense"),
        await alice.page("/auth/login"),
        await alice.page("/auth/callback"),
        await rig.browser().page("/devices"),
        await alice.submit("/auth/logout"),
    ]

    for response in answers:
        assert response.headers.get_list("cache-control") == ["no-store"]


async def test_static_files_may_be_kept(rig: Rig) -> None:
    response = await rig.browser().get("/static/css/tokens.css")

    assert "cache-control" not in response.headers
    assert response.headers["etag"]


@pytest.mark.parametrize("path", ["/api/v2/devices/a%0Ab/revoke", "/static/a%0Ab"])
async def test_path_with_a_line_break_gets_a_problem_like_any_other(rig: Rig, path: str) -> None:
    response = await rig.browser().get(path)

    assert response.status_code in {404, 405}
    assert response.headers["content-type"] == "application/problem+json"
    assert_guarded(response)


async def test_page_after_the_log_in_is_guarded_too(rig: Rig, acme: UUID) -> None:
    browser = rig.browser()
    begun = await browser.page("/auth/login")
    query = rig.provider.approve(begun.headers["location"], claims_of(acme, "customer"))

    response = await browser.page(f"/auth/callback?{query}")

    assert_guarded(response)
    assert response.headers["cache-control"] == "no-store"
