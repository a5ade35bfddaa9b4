from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

import pytest
from services.ui_iot.tests.rig import INTERNAL_URL, PUBLIC_URL, Browser, Rig, claims_of

from pulse_common.testing import tokens
from ui_iot import cookies

if TYPE_CHECKING:
    from uuid import UUID

    import httpx2

pytestmark = pytest.mark.anyio


async def begin(rig: Rig, browser: Browser, **claims: object) -> str:
    """Begin a log-in, pass the identity provider, and return what the browser brings back."""
    begun = await browser.page("/auth/login")
    return rig.provider.approve(begun.headers["location"], claims)


def assert_refused(response: httpx2.Response) -> None:
    assert response.status_code == 403
    assert "could not be completed" in response.text
    assert cookies.SESSION not in response.cookies


async def test_log_in_goes_out_with_state_nonce_and_challenge(rig: Rig) -> None:
    response = await rig.browser().page("/auth/login")

    location = urlsplit(response.headers["location"])
    query = {name: values[0] for name, values in parse_qs(location.query).items()}
    assert response.status_code == 303
    assert f"https://{location.netloc}{location.path}" == (
        f"{tokens.ISSUER}/protocol/openid-connect/auth"
    )
    assert query["response_type"] == "code"
    assert query["code_challenge_method"] == "S256"
    assert query["redirect_uri"] == f"{PUBLIC_URL}/auth/callback"
    secrets = [query[name] for name in ("state", "nonce", "code_challenge")]
    assert len(set(secrets)) == 3
    assert all(len(secret) >= 43 for secret in secrets)


async def test_every_log_in_has_secrets_of_its_own(rig: Rig) -> None:
    first, second = [await rig.browser().page("/auth/login") for _ in range(2)]

    assert first.headers["location"] != second.headers["location"]


async def test_code_is_redeemed_as_this_client_with_the_verifier(rig: Rig, acme: UUID) -> None:
    browser = rig.browser()
    begun = await browser.page("/auth/login")
    challenge = parse_qs(urlsplit(begun.headers["location"]).query)["code_challenge"][0]
    query = rig.provider.approve(begun.headers["location"], claims_of(acme, "customer"))

    await browser.page(f"/auth/callback?{query}")

    [form] = rig.provider.asked
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
    assert form["redirect_uri"] == f"{PUBLIC_URL}/auth/callback"
    basic = base64.b64decode(rig.provider.authorizations[0].removeprefix("Basic ")).decode()
    name, _, secret = basic.partition(":")
    # Form-encoded first (RFC 6749 section 2.3.1): the colon and the slash of the secret are not Basic's own.
    assert (name, secret) == ("pulse-ui", "s%3Acret%2F" + "s" * 32)
    assert INTERNAL_URL not in begun.headers["location"]


async def test_deep_link_survives_the_log_in(rig: Rig, acme: UUID) -> None:
    browser = rig.browser()
    led = await browser.page(f"/devices/{uuid4()}?a=b&c=%2F")
    begun = await browser.page(led.headers["location"])
    query = rig.provider.approve(begun.headers["location"], claims_of(acme, "customer"))

    finished = await browser.page(f"/auth/callback?{query}")

    wanted = unquote(led.headers["location"].partition("next=")[2])
    assert f'content="0; url={wanted.replace("&", "&amp;")}"' in finished.text


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "/%5Cevil.example", "https:evil.example", "javascript:alert(1)", "%0A"],
)
async def test_log_in_leads_to_no_other_site(rig: Rig, acme: UUID, wanted: str) -> None:
    browser = rig.browser()
    begun = await browser.page(f"/auth/login?next={wanted}")
    query = rig.provider.approve(begun.headers["location"], claims_of(acme, "customer"))

    finished = await browser.page(f"/auth/callback?{query}")

    assert 'content="0; url=/devices"' in finished.text
    assert "evil" not in finished.text


async def test_link_cannot_break_out_of_the_page_that_leads_on(rig: Rig, acme: UUID) -> None:
    browser = rig.browser()
    begun = await browser.page('/auth/login?next=/"><script>alert(1)</script>')
    query = rig.provider.approve(begun.headers["location"], claims_of(acme, "customer"))

    finished = await browser.page(f"/auth/callback?{query}")

    assert "<script" not in finished.text


async def test_answer_to_another_browser_is_refused(rig: Rig, acme: UUID) -> None:
    theirs, mine = rig.browser(), rig.browser()
    query = await begin(rig, theirs, **claims_of(acme, "tenant-admin"))
    await begin(rig, mine)

    assert_refused(await mine.page(f"/auth/callback?{query}"))
    assert rig.provider.asked == []


async def test_answer_without_a_log_in_under_way_is_refused(rig: Rig, acme: UUID) -> None:
    query = await begin(rig, rig.browser(), **claims_of(acme, "customer"))

    assert_refused(await rig.browser().page(f"/auth/callback?{query}"))
    assert rig.provider.asked == []


@pytest.mark.parametrize("cookie", ["nonsense", "", "AAAA", "é"])
async def test_forged_log_in_cookie_is_no_log_in(rig: Rig, cookie: str) -> None:
    header = {b"accept": b"text/html", b"cookie": f"{cookies.LOGIN}={cookie}".encode()}

    assert_refused(await rig.browser().get("/auth/callback?state=&code=x", headers=header))


async def test_cookie_sealed_for_something_else_is_no_log_in(
    rig: Rig, alice: Browser, neighbours: object
) -> None:
    await alice.submit("/devices", name="Lamp")
    sealed = alice.cookies[cookies.ENROLMENT]
    browser = rig.browser()
    browser.cookies.set(cookies.LOGIN, sealed, domain="pulse.example")

    assert_refused(await browser.page("/auth/callback?state=&code=x"))


async def test_answer_works_once(rig: Rig, acme: UUID) -> None:
    browser = rig.browser()
    query = await begin(rig, browser, **claims_of(acme, "customer"))
    await browser.page(f"/auth/callback?{query}")

    assert_refused(await browser.page(f"/auth/callback?{query}"))


async def test_copied_log_in_cookie_does_not_make_an_answer_work_twice(
    rig: Rig, acme: UUID
) -> None:
    browser = rig.browser()
    query = await begin(rig, browser, **claims_of(acme, "customer"))
    copy = browser.cookies[cookies.LOGIN]
    await browser.page(f"/auth/callback?{query}")
    browser.cookies.set(cookies.LOGIN, copy, domain="pulse.example")

    assert_refused(await browser.page(f"/auth/callback?{query}"))


async def test_log_in_must_be_finished_in_time_whatever_the_browser_keeps(
    rig: Rig, acme: UUID
) -> None:
    browser = rig.browser()
    query = await begin(rig, browser, **claims_of(acme, "customer"))
    rig.pass_time(seconds=cookies.LOGIN_SECONDS)

    assert_refused(await browser.page(f"/auth/callback?{query}"))


@pytest.mark.parametrize("change", [("state=", "state=x"), ("iss=", "iss=https://evil.example/")])
async def test_answer_that_was_changed_is_refused(
    rig: Rig, acme: UUID, change: tuple[str, str]
) -> None:
    browser = rig.browser()
    query = await begin(rig, browser, **claims_of(acme, "customer"))

    assert_refused(await browser.page(f"/auth/callback?{query.replace(*change)}"))
    assert rig.provider.asked == []


@pytest.mark.parametrize("query", ["", "state=é", "state=%FF%00", "code=x", "state=&state="])
async def test_nonsense_is_refused(rig: Rig, query: str) -> None:
    browser = rig.browser()
    await begin(rig, browser)

    assert_refused(await browser.page(f"/auth/callback?{query}"))


async def test_providers_own_refusal_shows_a_page(rig: Rig) -> None:
    browser = rig.browser()
    query = await begin(rig, browser)
    state = query.partition("&")[0]

    response = await browser.page(
        f"/auth/callback?{state}&error=access_denied&error_description=<b>"
    )

    assert_refused(response)
    assert "<b>" not in response.text


@pytest.mark.parametrize(
    "spoilt",
    [
        {"id_nonce": "another"},
        {"id_nonce": ...},
        {"id_aud": "another-client"},
        {"id_typ": "Bearer"},
        {"id_iss": "https://evil.example"},
        {"id_exp": 1},
        {"aud": ["account"]},
        {"azp": "another-client"},
        {"realm_access": {"roles": []}},
        {"tenant_id": ...},
    ],
    ids=str,
)
async def test_tokens_that_are_not_for_this_log_in_open_no_session_and_no_loop(
    rig: Rig, acme: UUID, spoilt: dict[str, object]
) -> None:
    browser = rig.browser()
    claims = {**claims_of(acme, "customer"), **spoilt}
    query = await begin(rig, browser, **claims)

    response = await browser.page(f"/auth/callback?{query}")

    # A redirect to the log-in would come straight back from a provider that knows the person, for ever.
    assert_refused(response)
    assert rig.sessions(str(claims["sub"])) == 0


async def test_refused_code_shows_a_page_and_no_loop(rig: Rig, acme: UUID) -> None:
    browser = rig.browser()
    query = await begin(rig, browser, **claims_of(acme, "customer"))
    rig.provider.codes.clear()

    assert_refused(await browser.page(f"/auth/callback?{query}"))


async def test_absent_provider_shows_a_page(rig: Rig, acme: UUID) -> None:
    browser = rig.browser()
    query = await begin(rig, browser, **claims_of(acme, "customer"))
    rig.provider.mood = "away"

    response = await browser.page(f"/auth/callback?{query}")

    assert response.status_code == 503
    assert "identity provider is away" in response.text
