"""Logging out: by the application, by an administrator, and the call that tells Pulse of it."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

import pytest
from tests.identity.provider import ALICE, CLIENT_SECRET
from tests.identity.services import verify, verify_id, verify_logout
from tests.identity.visitor import Application, Browser, claims_of, header_of

from pulse_common.jwt import TokenRefused

if TYPE_CHECKING:
    from tests.identity.provider import Admin, Provider

EVENT = "http://schemas.openid.net/event/backchannel-logout"


def log_out_url(provider: Provider) -> str:
    return f"{provider.protocol}/logout"


def test_log_out_with_a_hint_ends_the_session_and_returns(
    provider: Provider, browser: Browser, application: Application
) -> None:
    tokens = application.tokens(browser, ALICE)
    home = f"{provider.public_url}/"

    response = browser.get(
        log_out_url(provider),
        id_token_hint=tokens["id_token"],
        post_logout_redirect_uri=home,
        state="s 1",
    )

    assert response.status_code == 302
    assert response.headers["location"] == f"{home}?state=s+1"
    refused = application.refresh(tokens["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert browser.settle(browser.get(application.log_in_url())).status_code == 200


@pytest.mark.parametrize("suffix", ["x", "auth/callback", "?x=1"])
def test_log_out_returns_to_the_registered_address_only(
    provider: Provider, browser: Browser, application: Application, suffix: str
) -> None:
    tokens = application.tokens(browser, ALICE)

    response = browser.get(
        log_out_url(provider),
        id_token_hint=tokens["id_token"],
        post_logout_redirect_uri=f"{provider.public_url}/{suffix}",
    )

    assert response.status_code == 400
    assert application.refresh(tokens["refresh_token"]).status_code == 200


def test_only_an_id_token_is_a_hint(
    provider: Provider, browser: Browser, application: Application
) -> None:
    tokens = application.tokens(browser, ALICE)

    response = browser.get(log_out_url(provider), id_token_hint=tokens["access_token"])

    assert response.status_code == 400
    assert application.refresh(tokens["refresh_token"]).status_code == 200


def test_log_out_without_a_hint_asks_first(
    provider: Provider, browser: Browser, application: Application
) -> None:
    tokens = application.tokens(browser, ALICE)

    asked = browser.get(log_out_url(provider))

    assert asked.status_code == 200
    assert "<form" in asked.text
    assert application.refresh(tokens["refresh_token"]).status_code == 200


def test_pulse_is_told_of_a_log_out(
    provider: Provider, browser: Browser, application: Application
) -> None:
    tokens = application.tokens(browser, ALICE)

    browser.get(log_out_url(provider), id_token_hint=tokens["id_token"])

    delivery = provider.receiver.next()
    assert delivery.content_type.startswith("application/x-www-form-urlencoded")
    header, claims = header_of(delivery.token), claims_of(delivery.token)
    identity = claims_of(tokens["id_token"])
    assert (header["alg"], header["typ"]) == ("RS256", "logout+jwt")
    assert header["kid"] == header_of(tokens["id_token"])["kid"]
    assert claims["typ"] == "Logout"
    assert (claims["iss"], claims["aud"]) == (provider.issuer, "pulse-ui")
    assert (claims["sid"], claims["sub"]) == (identity["sid"], identity["sub"])
    assert claims["events"][EVENT] == {}
    assert 0 < claims["exp"] - claims["iat"] <= 120
    assert claims["jti"]
    assert "nonce" not in claims
    taken = verify_logout(provider, delivery.token)
    assert (taken.session_id, taken.subject) == (identity["sid"], identity["sub"])


def test_a_logout_token_is_good_for_nothing_else(
    provider: Provider, browser: Browser, application: Application
) -> None:
    tokens = application.tokens(browser, ALICE)
    browser.get(log_out_url(provider), id_token_hint=tokens["id_token"])
    token = provider.receiver.next().token

    with pytest.raises(TokenRefused):
        verify(provider, token)
    with pytest.raises(TokenRefused):
        verify_id(provider, token, application.nonce)
    for other in ("access_token", "id_token"):
        with pytest.raises(TokenRefused):
            verify_logout(provider, tokens[other])


def test_an_administrator_ends_all_sessions_of_a_person_and_pulse_is_told(
    provider: Provider, application: Application, admin: Admin
) -> None:
    name, user_id = admin.somebody()
    sessions = [application.tokens(Browser(provider.http), name) for _ in range(2)]

    answer = admin.call("POST", f"/users/{user_id}/logout")

    assert answer.status_code == 204
    told = {claims_of(provider.receiver.next().token)["sid"] for _ in sessions}
    assert told == {tokens["session_state"] for tokens in sessions}
    for tokens in sessions:
        assert application.refresh(tokens["refresh_token"]).status_code == 400


def test_pulse_is_not_told_of_a_deleted_person(
    provider: Provider, browser: Browser, application: Application, admin: Admin
) -> None:
    # So whoever removes somebody must end their sessions first.
    name, user_id = admin.somebody()
    application.tokens(browser, name)

    assert admin.call("DELETE", f"/users/{user_id}").status_code == 204

    with pytest.raises(queue.Empty):
        provider.receiver.deliveries.get(timeout=0.5)


def test_revoking_a_refresh_token_ends_it(
    provider: Provider, browser: Browser, application: Application
) -> None:
    tokens = application.tokens(browser, ALICE)

    answer = provider.http.post(
        f"{provider.protocol}/revoke",
        data={"token": tokens["refresh_token"]},
        auth=("pulse-ui", CLIENT_SECRET),
    )

    assert answer.status_code == 200
    assert application.refresh(tokens["refresh_token"]).status_code == 400
