"""A second factor: set up when level 2 is first asked for, and from then on asked for at every log-in."""

from __future__ import annotations

import base64
import hmac
import re
import time
from typing import TYPE_CHECKING

import pytest
from tests.identity.provider import PASSWORD
from tests.identity.visitor import Application, Browser, claims_of

if TYPE_CHECKING:
    import httpx2
    from tests.identity.provider import Admin, Provider

PERIOD_SECONDS = 30


@pytest.fixture
def keycloak(provider: Provider) -> Provider:
    if not provider.name.startswith("Keycloak"):
        pytest.skip("the development provider has no second factor")
    return provider


def code_of(secret: str, period: int) -> str:
    """Make the code of a period of time (RFC 6238), as an authenticator's app does."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.digest(key, period.to_bytes(8, "big"), "sha1")
    start = mac[-1] & 15
    return f"{(int.from_bytes(mac[start : start + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"


def enrol(browser: Browser, url: str, name: str, period: int) -> tuple[httpx2.Response, str]:
    """Log in for level 2 and set up an authenticator; return what follows, and its secret."""
    again = browser.log_in(url, name, PASSWORD)
    # Whoever has no second factor proves the first once more before setting one up.
    page = browser.submit(again, "kc-form-login", {"username": name, "password": PASSWORD})
    found = re.search(r'name="totpSecret"[^>]*value="([^"]+)"', page.text)
    assert found, page.text
    secret = base64.b32encode(found[1].encode()).decode().rstrip("=")
    values = {"totp": code_of(secret, period), "totpSecret": found[1], "userLabel": "phone"}
    return browser.submit(page, "kc-totp-settings-form", values), secret


@pytest.mark.parametrize(("level", "reached"), [("1", "1"), ("2", "2")])
def test_a_person_sets_up_an_authenticator_and_is_asked_for_it_from_then_on(
    keycloak: Provider,
    browser: Browser,
    application: Application,
    admin: Admin,
    level: str,
    reached: str,
) -> None:
    name, _ = admin.somebody()
    period = int(time.time()) // PERIOD_SECONDS

    answered, secret = enrol(browser, application.log_in_url(acr_values="2"), name, period)
    first = application.exchange(application.answer_of(answered)["code"]).json()
    other = Browser(keycloak.http)
    asked = other.log_in(application.log_in_url(acr_values=level), name, PASSWORD)
    refused = other.submit(asked, "kc-otp-login-form", {"otp": "not it"})
    # A code counts once, so that of the next period, which a clock a little ahead would show.
    let_in = other.submit(refused, "kc-otp-login-form", {"otp": code_of(secret, period + 1)})
    second = application.exchange(application.answer_of(let_in)["code"]).json()

    raised = other.settle(other.get(application.log_in_url(acr_values="2")))

    assert claims_of(first["id_token"])["acr"] == "2"
    assert claims_of(second["id_token"])["acr"] == reached
    assert claims_of(second["id_token"])["email"] == name
    # What a session on level 1 once showed is no second factor for level 2.
    assert ('id="kc-otp-login-form"' in raised.text) == (level == "1")


def test_a_person_who_is_disabled_is_out_until_enabled_again(
    provider: Provider, application: Application, admin: Admin
) -> None:
    name, user_id = admin.somebody()

    admin.call("PUT", f"/users/{user_id}", {"enabled": False})
    shut_out = Browser(provider.http).log_in(application.log_in_url(), name, PASSWORD)
    admin.call("PUT", f"/users/{user_id}", {"enabled": True})

    assert shut_out.status_code == 200
    assert "code=" not in shut_out.headers.get("location", "")
    assert application.tokens(Browser(provider.http), name)
