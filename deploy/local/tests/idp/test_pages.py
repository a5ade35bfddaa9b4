"""The log-in form, log-out, and what keeps other sites out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from deploy.local.tests.idp.test_flow import claims_of

if TYPE_CHECKING:
    import httpx2
    from deploy.local.tests.idp.conftest import Application, Browser, MovableClock

HOME = "https://localhost:8443/"
LOGOUT = "/realms/pulse/protocol/openid-connect/logout"
PASSWORD = "correct horse"


def test_the_form_has_keycloaks_ids(browser: Browser, application: Application) -> None:
    page = browser.get(application.log_in_url())

    for name in ("username", "password", "kc-login", "kc-form-login"):
        assert f'id="{name}"' in page.text
    assert browser.action_of(page).startswith("/realms/pulse/login-actions/authenticate?")


def test_pages_run_no_script_and_are_not_framed(browser: Browser, application: Application) -> None:
    page = browser.get(application.log_in_url())

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; style-src 'self';" in policy
    assert "form-action 'self' https://localhost:8443" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert "<script" not in page.text
    assert " style=" not in page.text
    sheet = browser.get("/resources/pulse/pulse.css")
    assert sheet.headers["content-type"].startswith("text/css")
    icon = browser.get("/resources/pulse/icon.svg")
    assert icon.headers["content-type"].startswith("image/svg+xml")


def test_cookies_stay_with_the_browser(browser: Browser, application: Application) -> None:
    page = browser.get(application.log_in_url())
    answer = browser.post(
        browser.action_of(page), {"username": "alice@acme.example", "password": PASSWORD}
    )

    for response in (page, answer):
        for line in response.headers.get_list("set-cookie"):
            for attribute in ("HttpOnly", "Secure", "SameSite=lax", "Path=/realms/pulse/"):
                assert attribute in line
    assert set(browser.cookies) == {"AUTH_SESSION_ID", "KEYCLOAK_IDENTITY"}


@pytest.mark.parametrize(
    ("username", "password"),
    [("alice@acme.example", "wrong"), ("nobody@acme.example", PASSWORD), ("", ""),
     ("alice@acme.example", ""), ("alice@acme.example", PASSWORD + " "), ("\x00", "x" * 5000)],
)  # fmt: skip
def test_a_wrong_password_says_so_and_lets_one_try_again(
    browser: Browser, application: Application, username: str, password: str
) -> None:
    response = browser.log_in(application.log_in_url(), username, password)

    assert response.status_code == 200
    assert "Invalid username or password." in response.text
    assert "KEYCLOAK_IDENTITY" not in browser.cookies
    again = browser.post(
        browser.action_of(response), {"username": " Alice@ACME.example", "password": PASSWORD}
    )
    assert "code" in application.answer_of(again)


def test_a_name_cannot_become_markup(browser: Browser, application: Application) -> None:
    response = browser.log_in(application.log_in_url(), '"><script>alert(1)</script>', "x")

    assert "<script" not in response.text
    assert "&lt;script&gt;" in response.text


def test_an_error_cannot_become_markup(browser: Browser, application: Application) -> None:
    response = browser.get(application.log_in_url(redirect_uri="<script>alert(1)</script>"))

    assert response.status_code == 400
    assert "<script" not in response.text


def test_guessing_is_slowed_down(
    browser: Browser, application: Application, clock: MovableClock
) -> None:
    for _ in range(5):
        browser.log_in(application.log_in_url(), "alice@acme.example", "wrong")

    stopped = browser.log_in(application.log_in_url())
    assert stopped.status_code == 200
    assert "Invalid username or password." in stopped.text  # as Keycloak: a guesser learns nothing
    assert "code" in application.answer_of(
        browser.log_in(application.log_in_url(), "bob@acme.example")
    )
    browser.cookies.clear()
    clock.ahead = 61
    assert "code" in application.answer_of(browser.log_in(application.log_in_url()))


def test_right_passwords_are_not_counted(browser: Browser, application: Application) -> None:
    for _ in range(8):
        assert "code" in application.answer_of(browser.log_in(application.log_in_url()))
        browser.cookies.clear()


def test_nobody_logs_in_another_ones_browser(browser: Browser, application: Application) -> None:
    page = browser.get(application.log_in_url())
    form = {"username": "mallory@globex.example", "password": PASSWORD}
    browser.cookies.clear()

    without = browser.post(browser.action_of(page), form)
    browser.get(application.log_in_url())
    with_other = browser.post(browser.action_of(page), form)

    for response in (without, with_other):
        assert response.status_code == 400
        assert "KEYCLOAK_IDENTITY" not in browser.cookies


def test_another_sites_form_is_refused(browser: Browser, application: Application) -> None:
    page = browser.get(application.log_in_url())
    form = {"username": "alice@acme.example", "password": PASSWORD}

    for site in ("cross-site", "same-site"):
        refused = browser.post(browser.action_of(page), form, **{"sec-fetch-site": site})
        assert refused.status_code == 403


def test_a_form_is_good_once(browser: Browser, application: Application) -> None:
    page = browser.get(application.log_in_url())
    form = {"username": "alice@acme.example", "password": PASSWORD}
    browser.post(browser.action_of(page), form)

    assert browser.post(browser.action_of(page), form).status_code == 400


def test_a_form_ends_after_half_an_hour(
    browser: Browser, application: Application, clock: MovableClock
) -> None:
    page = browser.get(application.log_in_url())
    clock.ahead = 1801

    late = browser.post(
        browser.action_of(page), {"username": "alice@acme.example", "password": PASSWORD}
    )

    assert late.status_code == 400
    assert "start again" in late.text


def test_a_logged_in_browser_is_not_asked_again_unless_wanted(
    browser: Browser, application: Application, clock: MovableClock
) -> None:
    browser.log_in(application.log_in_url())
    clock.ahead = 100

    assert "code" in application.answer_of(browser.get(application.log_in_url()))
    assert "code" in application.answer_of(browser.get(application.log_in_url(prompt="none")))
    assert browser.get(application.log_in_url(prompt="login")).status_code == 200
    assert browser.get(application.log_in_url(max_age="50")).status_code == 200
    assert "code" in application.answer_of(browser.get(application.log_in_url(max_age="150")))


def test_a_step_up_keeps_the_session(browser: Browser, application: Application) -> None:
    before = application.tokens(browser)
    old_cookie = browser.cookies["KEYCLOAK_IDENTITY"]

    answer = application.answer_of(browser.log_in(application.log_in_url(prompt="login")))

    assert answer["session_state"] == before["session_state"]
    assert browser.cookies["KEYCLOAK_IDENTITY"] != old_cookie
    assert application.refresh(before["refresh_token"]).status_code == 200


def test_an_open_session_is_proved_by_its_own_person_only(
    browser: Browser, application: Application
) -> None:
    before = application.tokens(browser)
    page = browser.get(application.log_in_url(prompt="login"))
    assert 'value="alice@acme.example" readonly' in page.text
    assert 'name="username"' not in page.text

    form = {"username": "bob@acme.example", "password": PASSWORD}
    answer = application.answer_of(browser.post(browser.action_of(page), form))

    assert answer["session_state"] == before["session_state"]


def test_the_second_level_lasts_five_minutes(
    browser: Browser, application: Application, clock: MovableClock
) -> None:
    before = application.tokens(browser)
    assert claims_of(before["id_token"])["acr"] == "1"
    page = browser.log_in(application.log_in_url(acr_values="2"))
    raised = application.exchange(application.answer_of(page)["code"]).json()
    assert claims_of(raised["access_token"])["acr"] == "2"
    assert claims_of(raised["access_token"])["sid"] == before["session_state"]
    assert "code" in application.answer_of(browser.get(application.log_in_url(acr_values="2")))

    clock.ahead = 301

    assert browser.get(application.log_in_url(acr_values="2")).status_code == 200


def test_log_out_with_a_hint_ends_the_session_and_returns(
    browser: Browser, application: Application
) -> None:
    tokens = application.tokens(browser)

    response = browser.get(
        LOGOUT, id_token_hint=tokens["id_token"], post_logout_redirect_uri=HOME, state="s 1"
    )

    assert response.headers["location"] == f"{HOME}?state=s+1"
    assert "KEYCLOAK_IDENTITY" not in browser.cookies
    assert application.refresh(tokens["refresh_token"]).status_code == 400
    assert browser.get(application.log_in_url()).status_code == 200


def test_an_expired_hint_still_logs_out(
    browser: Browser, application: Application, clock: MovableClock
) -> None:
    tokens = application.tokens(browser)
    clock.ahead = 1000

    response = browser.get(LOGOUT, id_token_hint=tokens["id_token"], post_logout_redirect_uri=HOME)

    assert response.headers["location"] == HOME


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "https://localhost:8443", HOME + "x", "//evil.example",
     "https://localhost:8443/auth/callback"],
)  # fmt: skip
def test_log_out_returns_to_the_registered_address_only(
    browser: Browser, application: Application, target: str
) -> None:
    tokens = application.tokens(browser)

    for parameters in ({"id_token_hint": tokens["id_token"]}, {"client_id": "pulse-ui"}, {}):
        response = browser.get(LOGOUT, post_logout_redirect_uri=target, **parameters)
        assert response.status_code == 400
        assert "location" not in response.headers


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_only_an_id_token_is_a_hint(browser: Browser, application: Application, name: str) -> None:
    tokens = application.tokens(browser)

    assert browser.get(LOGOUT, id_token_hint=tokens[name]).status_code == 400
    assert browser.get(LOGOUT, id_token_hint="rubbish").status_code == 400
    assert application.refresh(tokens["refresh_token"]).status_code == 200


def test_log_out_without_a_hint_asks_first(browser: Browser, application: Application) -> None:
    tokens = application.tokens(browser)

    asked = browser.get(LOGOUT, client_id="pulse-ui", post_logout_redirect_uri=HOME)
    forged = browser.post(LOGOUT, {"session_code": "0" * 64, "confirmLogout": ""})
    assert asked.status_code == forged.status_code == 200
    assert "Do you want to log out?" in forged.text
    assert application.refresh(tokens["refresh_token"]).status_code == 200

    code = asked.text.partition('name="session_code" value="')[2].partition('"')[0]
    done = browser.post(
        LOGOUT,
        {"session_code": code, "client_id": "pulse-ui", "post_logout_redirect_uri": HOME},
    )
    assert done.headers["location"] == HOME
    assert browser.get(application.log_in_url()).status_code == 200


@pytest.mark.parametrize(
    "body", [b"a=1&a=2", b"\xff\xfe", b"username=%ff", b"x" * 40_000, b"&".join([b"a=1"] * 60)]
)
def test_unreadable_forms_are_refused(provider: httpx2.Client, body: bytes) -> None:
    for path in ("/realms/pulse/login-actions/authenticate", LOGOUT,
                 "/realms/pulse/protocol/openid-connect/token"):  # fmt: skip
        response = provider.post(
            path, content=body, headers={"content-type": "application/x-www-form-urlencoded"}
        )
        assert response.status_code == 400


def test_an_unknown_page_is_not_found(provider: httpx2.Client) -> None:
    response = provider.get("/realms/other/protocol/openid-connect/auth")

    assert response.status_code == 404
    assert response.headers["content-security-policy"]
