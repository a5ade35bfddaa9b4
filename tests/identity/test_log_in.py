"""Logging in: discovery, PKCE, exact redirects, codes used once, and proving again who one is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.identity.provider import ALICE, PASSWORD
from tests.identity.visitor import Application, Browser, claims_of

if TYPE_CHECKING:
    from tests.identity.provider import Admin, Provider


def test_discovery_describes_the_realm(provider: Provider) -> None:
    found = provider.http.get("/realms/pulse/.well-known/openid-configuration").json()

    assert found["issuer"] == provider.issuer
    for name, path in (
        ("authorization_endpoint", "auth"),
        ("token_endpoint", "token"),
        ("userinfo_endpoint", "userinfo"),
        ("end_session_endpoint", "logout"),
        ("jwks_uri", "certs"),
        ("revocation_endpoint", "revoke"),
    ):
        assert found[name] == f"{provider.protocol}/{path}"
    assert "S256" in found["code_challenge_methods_supported"]
    assert {"authorization_code", "refresh_token", "client_credentials"} <= set(
        found["grant_types_supported"]
    )
    assert found["authorization_response_iss_parameter_supported"] is True
    assert found["backchannel_logout_supported"] is True
    assert found["backchannel_logout_session_supported"] is True
    assert {"1", "2"} <= set(found["acr_values_supported"])


def test_the_answer_carries_state_issuer_and_session(
    browser: Browser, application: Application
) -> None:
    page = browser.log_in(application.log_in_url(), ALICE, PASSWORD)

    answer = application.answer_of(page)
    assert answer.keys() == {"state", "iss", "session_state", "code"}
    assert answer["state"] == "the state"
    assert answer["iss"] == application.provider.issuer


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge": "short"},
    ],
)
def test_pkce_with_s256_is_required(
    browser: Browser, application: Application, changes: dict[str, str | None]
) -> None:
    answer = application.answer_of(browser.get(application.log_in_url(**changes)))

    assert answer["error"] == "invalid_request"
    assert answer["state"] == "the state"


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "another-verifier-of-forty-three-characters-or-so"},
        {"redirect_uri": "http://127.0.0.1/auth/callback"},
    ],
)
def test_a_failed_exchange_burns_the_code(
    browser: Browser, application: Application, changes: dict[str, str]
) -> None:
    page = browser.log_in(application.log_in_url(), ALICE, PASSWORD)
    code = application.answer_of(page)["code"]

    refused, late = application.exchange(code, **changes), application.exchange(code)

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")


def test_a_code_used_twice_ends_what_came_of_it(browser: Browser, application: Application) -> None:
    page = browser.log_in(application.log_in_url(), ALICE, PASSWORD)
    code = application.answer_of(page)["code"]
    tokens = application.exchange(code).json()

    again = application.exchange(code)

    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert application.refresh(tokens["refresh_token"]).status_code == 400


@pytest.mark.parametrize("suffix", ["/", "?x=1", "/../../", "x", "#x"])
def test_a_redirect_uri_that_is_not_exact_gets_no_redirect(
    browser: Browser, application: Application, suffix: str
) -> None:
    wanted = application.callback + suffix

    response = browser.get(application.log_in_url(redirect_uri=wanted))

    assert response.status_code == 400
    assert "location" not in response.headers


@pytest.mark.parametrize(
    "changes",
    [{"redirect_uri": None}, {"client_id": "nobody"}, {"client_id": "pulse-ui-admin"},
     {"max_age": "soon"}, {"request_uri": "https://evil.example"}],
)  # fmt: skip
def test_a_request_that_nobody_vouches_for_gets_a_page(
    browser: Browser, application: Application, changes: dict[str, str | None]
) -> None:
    response = browser.get(application.log_in_url(**changes))

    assert 400 <= response.status_code < 500
    assert "location" not in response.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"prompt": "none"}, "login_required"), ({"scope": "openid offline_access"}, "invalid_scope"),
     ({"scope": "openid nonsense"}, "invalid_scope"), ({"response_type": None}, "invalid_request")],
)  # fmt: skip
def test_the_client_is_told_what_was_wrong(
    browser: Browser, application: Application, changes: dict[str, str | None], error: str
) -> None:
    answer = application.answer_of(browser.get(application.log_in_url(**changes)))

    assert answer["error"] == error
    assert answer["iss"] == application.provider.issuer


def test_a_second_visit_needs_no_password(browser: Browser, application: Application) -> None:
    first = application.tokens(browser, ALICE)

    answer = application.answer_of(browser.settle(browser.get(application.log_in_url())))

    assert answer["session_state"] == first["session_state"]


@pytest.mark.parametrize("asked", [{"prompt": "login"}, {"max_age": "0"}])
def test_proving_it_again_keeps_the_session_and_renews_auth_time(
    browser: Browser, application: Application, asked: dict[str, str]
) -> None:
    before = application.tokens(browser, ALICE)
    time.sleep(1.1)  # auth_time counts seconds

    after = application.tokens(browser, ALICE, **asked)

    old, new = claims_of(before["id_token"]), claims_of(after["id_token"])
    assert new["auth_time"] > old["auth_time"]
    assert new["sid"] == old["sid"]
    assert new["acr"] == old["acr"] == "1"
    assert application.refresh(before["refresh_token"]).status_code == 200


def test_an_open_session_cannot_be_proved_by_another_person(
    browser: Browser, application: Application, admin: Admin
) -> None:
    first = application.tokens(browser, ALICE)
    other, _ = admin.somebody()

    page = browser.log_in(application.log_in_url(prompt="login"), other, PASSWORD)

    # Both have the same password here: it is the person of the session who proved it, not the name in the form.
    tokens = application.exchange(application.answer_of(page)["code"]).json()
    assert claims_of(tokens["id_token"])["email"] == ALICE
    assert tokens["session_state"] == first["session_state"]


def test_the_second_level_asks_an_open_session_for_more(
    browser: Browser, application: Application
) -> None:
    application.tokens(browser, ALICE)

    page = browser.settle(browser.get(application.log_in_url(acr_values="2")))

    assert page.status_code == 200
    assert 'id="kc-form-login"' in page.text


def test_a_wrong_password_says_nothing_about_the_name(
    provider: Provider, application: Application, admin: Admin
) -> None:
    known, _ = admin.somebody()

    for name in (known, "nobody@acme.example"):
        page = Browser(provider.http).log_in(application.log_in_url(), name, "wrong")
        assert page.status_code == 200
        assert "Invalid username or password." in page.text


def test_guessing_locks_the_name_and_no_other(
    provider: Provider, application: Application, admin: Admin
) -> None:
    name, _ = admin.somebody()
    for _ in range(11):
        Browser(provider.http).log_in(application.log_in_url(), name, "wrong")

    page = Browser(provider.http).log_in(application.log_in_url(), name, PASSWORD)

    assert page.status_code == 200
    assert "Invalid username or password." in page.text  # the guesser is not told of the lock
    assert application.tokens(Browser(provider.http), ALICE)
