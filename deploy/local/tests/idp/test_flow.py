"""The whole log-in by the code flow, and every way in which it must fail."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from pulse_common.jwt import Jwks, JwtVerifier, TokenRefused

if TYPE_CHECKING:
    from deploy.local.tests.idp.conftest import Application, Browser, MovableClock

    from pulse_common.identity import Principal
    from pulse_common.jwt import IdClaims

ISSUER = "https://localhost:8443/realms/pulse"
CALLBACK = "https://localhost:8443/auth/callback"
REALM = "/realms/pulse"
PROTOCOL = f"{REALM}/protocol/openid-connect"


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


def verify(provider: httpx2.Client, token: str) -> Principal:
    async def run() -> Principal:
        async with httpx2.AsyncClient() as http:
            return await verifier(provider, http).verify(token)

    return asyncio.run(run())


def verify_id(provider: httpx2.Client, token: str, nonce: str) -> IdClaims:
    async def run() -> IdClaims:
        async with httpx2.AsyncClient() as http:
            return await verifier(provider, http).verify_id_token(token, nonce, "pulse-ui")

    return asyncio.run(run())


def verifier(provider: httpx2.Client, http: httpx2.AsyncClient) -> JwtVerifier:
    jwks = Jwks(oidc_internal_url=f"{provider.base_url}".rstrip("/") + REALM, http=http)
    return JwtVerifier(issuer=ISSUER, audience="pulse-api", azp=["pulse-ui"], jwks=jwks)


@pytest.mark.parametrize(
    ("username", "role", "tenant"),
    [
        ("alice@acme.example", "tenant-admin", "11111111-1111-4111-8111-111111111111"),
        ("bob@acme.example", "customer", "11111111-1111-4111-8111-111111111111"),
        ("mallory@globex.example", "tenant-admin", "22222222-2222-4222-8222-222222222222"),
        ("olivia@pulse.example", "operator", None),
    ],
)
def test_a_log_in_ends_in_an_access_token_that_the_services_take(
    provider: httpx2.Client,
    browser: Browser,
    application: Application,
    username: str,
    role: str,
    tenant: str | None,
) -> None:
    tokens = application.tokens(browser, username)

    principal = verify(provider, tokens["access_token"])

    assert principal.roles == {role}
    assert principal.tenant == tenant or str(principal.tenant) == tenant
    assert principal.email == username
    assert principal.session_id == tokens["session_state"]


def test_id_and_refresh_tokens_are_not_access_tokens(
    provider: httpx2.Client, browser: Browser, application: Application
) -> None:
    tokens = application.tokens(browser)

    for name in ("id_token", "refresh_token"):
        with pytest.raises(TokenRefused):
            verify(provider, tokens[name])
    assert verify_id(provider, tokens["id_token"], "the nonce").email == "alice@acme.example"
    with pytest.raises(TokenRefused):
        verify_id(provider, tokens["id_token"], "another nonce")
    with pytest.raises(TokenRefused):
        verify_id(provider, tokens["access_token"], "the nonce")


def test_tokens_have_keycloaks_shape(browser: Browser, application: Application) -> None:
    tokens = application.tokens(browser)

    access, identity = claims_of(tokens["access_token"]), claims_of(tokens["id_token"])
    refresh = claims_of(tokens["refresh_token"])

    assert set(access) == {
        "exp", "iat", "auth_time", "jti", "iss", "aud", "sub", "typ", "azp", "sid", "acr",
        "realm_access", "scope", "email_verified", "name",
        "preferred_username", "given_name", "family_name", "email", "tenant_id",
    }  # fmt: skip
    assert access["aud"] == "pulse-api"
    assert access["exp"] - access["iat"] == 300
    assert access["realm_access"] == {"roles": ["tenant-admin"]}
    assert (identity["typ"], identity["aud"], identity["nonce"]) == ("ID", "pulse-ui", "the nonce")
    assert (refresh["typ"], refresh["aud"]) == ("Refresh", ISSUER)
    assert "nonce" not in access
    assert {name: tokens[name] for name in ("token_type", "expires_in", "refresh_expires_in")} == {
        "token_type": "Bearer",
        "expires_in": 300,
        "refresh_expires_in": 1800,
    }


def test_the_answer_carries_state_and_issuer(browser: Browser, application: Application) -> None:
    answer = application.answer_of(browser.log_in(application.log_in_url()))

    assert answer["state"] == "the state"
    assert answer["iss"] == ISSUER


def test_discovery_names_public_addresses_whoever_asks(provider: httpx2.Client) -> None:
    document = provider.get(f"{REALM}/.well-known/openid-configuration").json()

    assert document["issuer"] == ISSUER
    assert document["code_challenge_methods_supported"] == ["S256"]
    for name, value in document.items():
        assert not (name.endswith("_endpoint") or name == "jwks_uri") or value.startswith(ISSUER)


def test_a_client_may_post_its_secret(browser: Browser, application: Application) -> None:
    code = application.answer_of(browser.log_in(application.log_in_url()))["code"]

    answer = application.http.post(
        f"{PROTOCOL}/token",
        data={
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": application.verifier,
            "client_id": "pulse-ui",
            "client_secret": "s" * 40,
        },
    )

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge": "short"},
        {"code_challenge": "a" * 42 + "="},
    ],
)
def test_pkce_with_s256_is_required(
    browser: Browser, application: Application, changes: dict[str, str | None]
) -> None:
    response = browser.get(application.log_in_url(**changes))

    answer = application.answer_of(response)
    assert answer["error"] == "invalid_request"
    assert answer["state"] == "the state"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"scope": "openid offline_access"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
        ({"response_mode": "fragment"}, "invalid_request"),
    ],
)
def test_the_client_is_told_what_was_wrong(
    browser: Browser, application: Application, changes: dict[str, str | None], code: str
) -> None:
    response = browser.get(application.log_in_url(**changes))

    assert application.answer_of(response)["error"] == code


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://evil.example/auth/callback"},
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": CALLBACK + "?next=https://evil.example"},
        {"redirect_uri": CALLBACK.upper()},
        {"redirect_uri": "https://localhost:8443/auth/../auth/callback"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": ""},
        {"redirect_uri": None},
        {"client_id": "other"},
        {"client_id": None},
        {"client_id": "pulse-ui-admin"},
        {"request": "eyJ"},
        {"request_uri": "https://evil.example"},
        {"max_age": "soon"},
        {"client_id": "other", "response_type": "token"},
        {"redirect_uri": "https://evil.example", "response_type": "token"},
        {"redirect_uri": "https://evil.example", "scope": "nonsense", "prompt": "none"},
    ],
)
def test_nobody_is_redirected_to_an_address_that_is_not_registered(
    browser: Browser, application: Application, changes: dict[str, str | None]
) -> None:
    response = browser.get(application.log_in_url(**changes))

    assert response.status_code == 400
    assert "location" not in response.headers
    assert "evil.example" not in response.text or "<a" not in response.text.split("evil.example")[0]


def test_a_parameter_given_twice_is_refused(browser: Browser, application: Application) -> None:
    doubled = application.log_in_url() + "&redirect_uri=https%3A%2F%2Fevil.example"

    response = browser.get(doubled)

    assert response.status_code == 400
    assert "location" not in response.headers


def test_a_code_is_good_once_and_a_second_use_ends_what_came_of_it(
    browser: Browser, application: Application
) -> None:
    code = application.answer_of(browser.log_in(application.log_in_url()))["code"]
    first = application.exchange(code).json()

    second = application.exchange(code)

    assert (second.status_code, second.json()["error"]) == (400, "invalid_grant")
    assert application.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "x" * 43}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"redirect_uri": "https://localhost:8443/other"}, "invalid_grant"),
        ({"redirect_uri": ""}, "invalid_grant"),
        ({"code": "unknown"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unauthorized_client"),
    ],
)
def test_a_wrong_exchange_is_refused(
    browser: Browser, application: Application, changes: dict[str, str], error: str
) -> None:
    code = application.answer_of(browser.log_in(application.log_in_url()))["code"]

    refused = application.exchange(**({"code": code} | changes))

    assert (refused.status_code, refused.json()["error"]) == (400, error)


def test_a_failed_exchange_burns_the_code(browser: Browser, application: Application) -> None:
    code = application.answer_of(browser.log_in(application.log_in_url()))["code"]
    application.exchange(code, code_verifier="x" * 43)

    assert application.exchange(code).json()["error"] == "invalid_grant"


def test_a_code_ends_after_a_minute(
    browser: Browser, application: Application, clock: MovableClock
) -> None:
    code = application.answer_of(browser.log_in(application.log_in_url()))["code"]
    clock.ahead = 61

    assert application.exchange(code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("secret", ["wrong", "", "s" * 39 + "ß"])
def test_a_wrong_secret_is_refused(application: Application, secret: str) -> None:
    refused = application.token({"grant_type": "authorization_code", "code": "x"}, secret)

    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("value", ["Basic", "Basic !!!", "Basic /w==", "Bearer x", "Basic Og=="])
def test_a_broken_authorization_header_is_no_server_error(
    provider: httpx2.Client, value: str
) -> None:
    form = {"grant_type": "authorization_code", "code": "x"}

    refused = provider.post(f"{PROTOCOL}/token", data=form, headers={"authorization": value})

    assert refused.status_code in {400, 401}


def test_a_refresh_token_is_good_once_and_reuse_ends_its_family(
    provider: httpx2.Client, browser: Browser, application: Application
) -> None:
    first = application.tokens(browser)
    second = application.refresh(first["refresh_token"])
    assert second.status_code == 200
    assert verify(provider, second.json()["access_token"]).roles == {"tenant-admin"}

    reused = application.refresh(first["refresh_token"])

    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    assert application.refresh(second.json()["refresh_token"]).json()["error"] == "invalid_grant"
    # As in Keycloak: what the client had has ended, not the person's log-in.
    assert "code" in application.answer_of(browser.get(application.log_in_url()))


def test_two_log_ins_of_one_browser_refresh_apart(
    browser: Browser, application: Application
) -> None:
    first = application.tokens(browser)
    again = application.answer_of(browser.get(application.log_in_url()))
    second = application.exchange(again["code"]).json()

    assert first["session_state"] == second["session_state"]
    assert application.refresh(first["refresh_token"]).status_code == 200
    assert application.refresh(second["refresh_token"]).status_code == 200


@pytest.mark.parametrize("name", ["access_token", "id_token"])
def test_only_refresh_tokens_refresh(browser: Browser, application: Application, name: str) -> None:
    tokens = application.tokens(browser)

    assert application.refresh(tokens[name]).json()["error"] == "invalid_grant"
    assert application.refresh("rubbish").json()["error"] == "invalid_grant"


def test_a_refresh_may_not_widen_the_scope(browser: Browser, application: Application) -> None:
    tokens = application.tokens(browser)

    refused = application.refresh(tokens["refresh_token"], scope="openid offline_access")

    assert refused.json()["error"] == "invalid_scope"


def test_an_idle_session_ends(
    browser: Browser, application: Application, clock: MovableClock
) -> None:
    tokens = application.tokens(browser)
    clock.ahead = 1801

    assert application.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert browser.get(application.log_in_url()).status_code == 200


def test_userinfo_tells_about_the_bearer(browser: Browser, application: Application) -> None:
    tokens = application.tokens(browser)

    def ask(token: str) -> httpx2.Response:
        return application.http.get(
            f"{PROTOCOL}/userinfo", headers={"authorization": f"Bearer {token}"}
        )

    assert ask(tokens["access_token"]).json()["email"] == "alice@acme.example"
    assert ask(tokens["id_token"]).status_code == 401
    assert ask(tokens["refresh_token"]).status_code == 401
    assert ask("rubbish").status_code == 401


def test_revoking_a_refresh_token_ends_the_session(
    browser: Browser, application: Application
) -> None:
    tokens = application.tokens(browser)
    form = {"token": tokens["refresh_token"]}
    assert application.http.post(f"{PROTOCOL}/revoke", data=form).status_code == 401

    revoked = application.http.post(f"{PROTOCOL}/revoke", data=form, auth=("pulse-ui", "s" * 40))

    assert revoked.status_code == 200
    assert application.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
