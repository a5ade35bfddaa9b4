"""Tokens: what the services take and refuse, what is in them, how they are renewed, and tenants' programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.identity.provider import ACME, ALICE, BOB, GLOBEX, MALLORY, OLIVIA, PASSWORD
from tests.identity.services import verify, verify_id
from tests.identity.visitor import Application, Browser, claims_of, header_of

from pulse_common.jwt import TokenRefused

if TYPE_CHECKING:
    from tests.identity.provider import Admin, Provider


@pytest.mark.parametrize(
    ("username", "role", "tenant"),
    [(ALICE, "tenant-admin", ACME), (BOB, "customer", ACME), (MALLORY, "tenant-admin", GLOBEX),
     (OLIVIA, "operator", None)],
)  # fmt: skip
def test_the_services_take_an_access_token(
    provider: Provider,
    browser: Browser,
    application: Application,
    username: str,
    role: str,
    tenant: str | None,
) -> None:
    tokens = application.tokens(browser, username)

    principal = verify(provider, tokens["access_token"])

    assert principal.roles == {role}
    assert (None if principal.tenant is None else str(principal.tenant)) == tenant
    assert principal.email == principal.username == username
    assert principal.session_id == tokens["session_state"]
    assert principal.authentication_class == "1"
    assert principal.authenticated_at is not None


def test_id_and_refresh_tokens_are_not_access_tokens(
    provider: Provider, browser: Browser, application: Application
) -> None:
    tokens = application.tokens(browser, ALICE)

    for name in ("id_token", "refresh_token"):
        with pytest.raises(TokenRefused):
            verify(provider, tokens[name])
    identity = verify_id(provider, tokens["id_token"], application.nonce)
    assert (identity.email, identity.session_id) == (ALICE, tokens["session_state"])
    with pytest.raises(TokenRefused):
        verify_id(provider, tokens["id_token"], "another nonce")


def test_tokens_have_their_shape(browser: Browser, application: Application) -> None:
    tokens = application.tokens(browser, ALICE)

    access, identity = claims_of(tokens["access_token"]), claims_of(tokens["id_token"])
    assert header_of(tokens["access_token"]).keys() == {"alg", "typ", "kid"}
    assert header_of(tokens["access_token"])["alg"] == "RS256"
    common = {
        "exp", "iat", "auth_time", "jti", "iss", "aud", "sub", "typ", "azp", "sid", "acr",
        "email_verified", "name", "preferred_username", "given_name", "family_name", "email",
        "tenant_id",
    }  # fmt: skip
    assert access.keys() == common | {"realm_access", "scope"}
    assert identity.keys() == common | {"nonce", "at_hash"}
    assert (access["typ"], access["azp"], access["aud"]) == ("Bearer", "pulse-ui", "pulse-api")
    assert access["realm_access"] == {"roles": ["tenant-admin"]}
    assert set(access["scope"].split()) == {"openid", "profile", "email"}
    assert access["exp"] - access["iat"] == 300
    assert (identity["typ"], identity["aud"]) == ("ID", "pulse-ui")
    refresh = claims_of(tokens["refresh_token"])
    assert (refresh["typ"], refresh["exp"] - refresh["iat"]) == ("Refresh", 1800)
    known = {"token_type": "Bearer", "expires_in": 300, "refresh_expires_in": 1800}
    assert {name: tokens[name] for name in known} == known


def test_operators_have_no_tenant(browser: Browser, application: Application) -> None:
    tokens = application.tokens(browser, OLIVIA)

    for name in ("access_token", "id_token"):
        assert "tenant_id" not in claims_of(tokens[name])


def test_userinfo_says_what_the_id_token_says(
    provider: Provider, browser: Browser, application: Application
) -> None:
    tokens = application.tokens(browser, ALICE)

    answer = provider.http.get(
        f"{provider.protocol}/userinfo",
        headers={"authorization": f"Bearer {tokens['access_token']}"},
    )

    assert answer.json()["sub"] == claims_of(tokens["id_token"])["sub"]
    assert answer.json()["tenant_id"] == ACME


def test_refreshing_rotates_and_keeps_the_session(
    browser: Browser, application: Application
) -> None:
    first = application.tokens(browser, ALICE)

    second = application.refresh(first["refresh_token"]).json()

    assert second["refresh_token"] != first["refresh_token"]
    old, new = claims_of(first["access_token"]), claims_of(second["access_token"])
    assert (new["sid"], new["auth_time"]) == (old["sid"], old["auth_time"])
    assert "nonce" not in claims_of(second["id_token"])
    assert application.refresh(second["refresh_token"]).status_code == 200


def test_a_reused_refresh_token_ends_its_family_but_not_the_browsers_session(
    browser: Browser, application: Application
) -> None:
    first = application.tokens(browser, ALICE)
    second = application.refresh(first["refresh_token"]).json()

    reused = application.refresh(first["refresh_token"])

    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    newest = application.refresh(second["refresh_token"])
    assert (newest.status_code, newest.json()["error"]) == (400, "invalid_grant")
    assert "code" in application.answer_of(browser.settle(browser.get(application.log_in_url())))


def test_a_changed_role_is_in_the_next_token(
    provider: Provider, browser: Browser, application: Application, admin: Admin
) -> None:
    name, user_id = admin.somebody("customer")
    tokens = application.tokens(browser, name)

    admin.give(user_id, "tenant-admin")
    admin.take(user_id, "customer")

    renewed = application.refresh(tokens["refresh_token"]).json()
    assert verify(provider, renewed["access_token"]).roles == {"tenant-admin"}


@pytest.mark.parametrize("change", [{"enabled": False}, None])
def test_a_disabled_or_deleted_person_gets_no_more_tokens(
    browser: Browser, application: Application, admin: Admin, change: dict[str, bool] | None
) -> None:
    name, user_id = admin.somebody()
    tokens = application.tokens(browser, name)

    if change is None:
        admin.call("DELETE", f"/users/{user_id}")
    else:
        admin.call("PUT", f"/users/{user_id}", change)

    refused = application.refresh(tokens["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


def test_a_tenants_program_gets_a_token_of_its_tenant(provider: Provider) -> None:
    client = provider.api_client

    answer = provider.token({"grant_type": "client_credentials"}, (client.client_id, client.secret))

    tokens = answer.json()
    principal = verify(provider, tokens["access_token"])
    assert str(principal.tenant) == client.tenant
    assert principal.roles == {"customer"}
    assert principal.client == client.client_id
    assert principal.session_id is None
    assert "refresh_token" not in tokens
    assert tokens["expires_in"] == 300


@pytest.mark.parametrize(
    ("form", "client"),
    [
        ({"grant_type": "client_credentials"}, None),
        ({"grant_type": "password", "username": ALICE, "password": PASSWORD}, None),
        ({"grant_type": "client_credentials"}, ("pulse-api-acme", "wrong" * 8)),
        ({"grant_type": "client_credentials"}, ("nobody", "wrong" * 8)),
        ({"grant_type": "password", "username": ALICE, "password": PASSWORD}, ("admin-cli", "")),
    ],
)
def test_no_client_gets_tokens_by_a_road_that_is_not_its_own(
    provider: Provider, form: dict[str, str], client: tuple[str, str] | None
) -> None:
    answer = provider.token(form) if client is None else provider.token(form, client)

    assert answer.status_code in {400, 401}
    # pulse-ui takes invalid_grant for the end of a person's session; none of these is.
    assert answer.json()["error"] not in {"invalid_grant", ""}
