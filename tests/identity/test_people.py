"""The team page's part of the admin API: what pulse-ui-admin may do with people, and that it may do nothing else."""

from __future__ import annotations

import secrets
import time
from email import message_from_bytes, policy
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.identity.provider import ACME, ALICE, BOB, GLOBEX, PASSWORD
from tests.identity.visitor import Application, Browser, claims_of

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2
    from tests.identity.provider import Admin, Provider


def test_people_are_found_by_their_tenant(admin: Admin) -> None:
    found = admin.call("GET", "/users", q=f"tenant_id:{ACME}", max="500").json()

    names = {person["username"] for person in found}
    assert {ALICE, BOB} <= names
    assert "mallory@globex.example" not in names
    assert "olivia@pulse.example" not in names
    assert all(person["attributes"]["tenant_id"] == [ACME] for person in found)
    count = admin.call("GET", "/users/count", q=f"tenant_id:{ACME}").json()
    assert count == len(found)
    page = admin.call("GET", "/users", q=f"tenant_id:{ACME}", first="1", max="1").json()
    assert [person["username"] for person in page] == [found[1]["username"]]


def test_a_person_is_made_changed_and_deleted(
    browser: Browser, application: Application, admin: Admin
) -> None:
    name, user_id = admin.somebody("customer")
    assert admin.roles(user_id) == {"customer"}

    assert admin.call("PUT", f"/users/{user_id}", {"firstName": "Changed"}).status_code == 204

    person = admin.call("GET", f"/users/{user_id}").json()
    assert (person["firstName"], person["lastName"]) == ("Changed", "Tester")
    assert (person["id"], person["username"], person["email"]) == (user_id, name, name)
    assert person["attributes"] == {"tenant_id": [ACME]}
    assert person["enabled"] is True
    assert application.tokens(browser, name)
    assert admin.call("DELETE", f"/users/{user_id}").status_code == 204
    assert admin.call("GET", f"/users/{user_id}").status_code == 404
    assert admin.call("DELETE", f"/users/{user_id}").status_code == 404


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"email": ALICE, "username": ALICE}, 409),
        ({"email": None}, 400),
        ({"email": "not an address"}, 400),
        ({"attributes": {"tenant_id": ["NOT-A-UUID"]}}, 400),
    ],
)
def test_a_person_that_cannot_be_is_refused(
    admin: Admin, changes: dict[str, object], status: int
) -> None:
    name = f"{secrets.token_hex(6)}@acme.example"
    person = {"username": name, "email": name, "firstName": "No", "lastName": "Body"} | changes

    answer = admin.call("POST", "/users", {k: v for k, v in person.items() if v is not None})

    assert answer.status_code == status, answer.text
    assert answer.json()["errorMessage"]


def test_a_short_password_is_refused(admin: Admin) -> None:
    _, user_id = admin.somebody()

    short = admin.call(
        "PUT", f"/users/{user_id}/reset-password", {"type": "password", "value": "short"}
    )

    assert short.status_code == 400


def test_a_role_is_given_by_its_id_only(admin: Admin) -> None:
    _, user_id = admin.somebody("customer")

    forged = [{"id": "00000000-0000-4000-8000-000000000000", "name": "operator-admin"}]
    answer = admin.call("POST", f"/users/{user_id}/role-mappings/realm", forged)

    assert answer.status_code == 404
    assert admin.roles(user_id) == {"customer"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "", {"accessTokenLifespan": 86400}),
        ("GET", "/clients", None),
        ("POST", "/clients", {"clientId": "mine"}),
        ("GET", "/components", None),
        ("GET", "/events", None),
        ("GET", "/roles", None),
        ("PUT", "/users/profile", {}),
        ("DELETE", "", None),
    ],
)
def test_the_team_page_cannot_touch_the_realm(
    admin: Admin, method: str, path: str, body: object
) -> None:
    assert admin.call(method, path, body).status_code == 403


def test_nobody_else_may_call_the_admin_api(
    provider: Provider, browser: Browser, application: Application
) -> None:
    tokens = application.tokens(browser, ALICE)
    client = provider.api_client
    program = provider.token(
        {"grant_type": "client_credentials"}, (client.client_id, client.secret)
    )

    for token in (tokens["access_token"], program.json()["access_token"]):
        headers = {"authorization": f"Bearer {token}"}
        assert provider.http.get("/admin/realms/pulse/users", headers=headers).status_code == 403
    for headers in ({}, {"authorization": f"Bearer {tokens['id_token']}"}):
        assert provider.http.get("/admin/realms/pulse/users", headers=headers).status_code == 401


def test_a_person_cannot_move_to_another_tenant(
    provider: Provider, browser: Browser, application: Application, admin: Admin
) -> None:
    name, _ = admin.somebody("customer")
    tokens = application.tokens(browser, name)
    for token in (tokens["access_token"], *_account_tokens(provider, browser, application)):
        moved: dict[str, object] = {"attributes": {"tenant_id": [GLOBEX]}}
        refused = _change_own_account(provider, token, name, moved)
        assert refused.status_code >= 400, refused.text
        _change_own_account(provider, token, name, {"lastName": "Renamed", "attributes": {}})

    renewed = claims_of(application.refresh(tokens["refresh_token"]).json()["access_token"])
    assert renewed["tenant_id"] == ACME
    if _account_tokens(provider, browser, application):
        assert renewed["family_name"] == "Renamed"  # so the account was open for other changes


def _change_own_account(
    provider: Provider, token: str, name: str, changes: dict[str, object]
) -> httpx2.Response:
    person = {"username": name, "email": name, "firstName": "Some", "lastName": "Body"}
    return provider.http.post(
        "/realms/pulse/account/",
        json=person | changes,
        headers={"authorization": f"Bearer {token}", "accept": "application/json"},
    )


def _account_tokens(provider: Provider, browser: Browser, application: Application) -> list[str]:
    """Return a token of Keycloak's own account console; the development provider has none."""
    callback = f"{provider.issuer}/account/"
    url = application.log_in_url(client_id="account-console", redirect_uri=callback)
    response = browser.get(url)
    if response.status_code != 302:
        return []
    code = response.headers["location"].partition("code=")[2].partition("&")[0]
    answer = provider.http.post(
        f"{provider.protocol}/token",
        data={
            "grant_type": "authorization_code",
            "client_id": "account-console",
            "code": code,
            "redirect_uri": callback,
            "code_verifier": application.verifier,
        },
    )
    token: str = answer.json()["access_token"]
    assert "manage-account" in claims_of(token)["resource_access"]["account"]["roles"]
    return [token]


def test_an_invited_person_sets_a_password_and_logs_in(
    provider: Provider, browser: Browser, application: Application, admin: Admin
) -> None:
    name = f"{secrets.token_hex(6)}@acme.example"
    made = admin.call(
        "POST",
        "/users",
        {
            "username": name,
            "email": name,
            "firstName": "In",
            "lastName": "Vited",
            "enabled": True,
            "attributes": {"tenant_id": [ACME]},
        },
    )
    user_id = made.headers["location"].rpartition("/")[2]
    admin.give(user_id, "customer")

    sent = admin.call(
        "PUT",
        f"/users/{user_id}/execute-actions-email",
        ["UPDATE_PASSWORD", "VERIFY_EMAIL"],
        client_id="pulse-ui",
        redirect_uri=f"{provider.public_url}/auth/callback",
        lifespan="3600",
    )

    assert sent.status_code == 204, sent.text
    page = browser.settle(browser.get(_link(_mail_to(provider.mail, name), provider)))
    if 'id="kc-passwd-update-form"' not in page.text:  # Keycloak first says what will be asked
        page = browser.settle(browser.get(_link(page.text, provider)))
    chosen = {"password-new": PASSWORD, "password-confirm": PASSWORD}
    done = browser.submit(page, "kc-passwd-update-form", chosen)
    assert done.status_code in {200, 302}
    tokens = application.tokens(Browser(provider.http), name)
    assert claims_of(tokens["id_token"])["email_verified"] is True
    assert claims_of(tokens["id_token"])["tenant_id"] == ACME


@pytest.mark.parametrize(
    "query",
    [{"client_id": "pulse-ui", "redirect_uri": "https://evil.example/"}, {"client_id": "nobody"}],
)
def test_an_invitation_leads_nowhere_else(admin: Admin, query: dict[str, str]) -> None:
    _, user_id = admin.somebody()

    answer = admin.call(
        "PUT", f"/users/{user_id}/execute-actions-email", ["UPDATE_PASSWORD"], **query
    )

    assert answer.status_code == 400


def _mail_to(folder: Path, address: str) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for path in sorted(folder.glob("*.eml")):
            message = message_from_bytes(path.read_bytes(), policy=policy.default)
            part = message.get_body(("plain",))
            if address in str(message["to"]) and part is not None:
                return str(part.get_content())
        time.sleep(0.1)
    raise AssertionError(f"no mail for {address}")


def _link(text: str, provider: Provider) -> str:
    """Find the link to the action that was asked for, in a mail or on a page."""
    found = [
        part.replace("&amp;", "&")
        for part in text.replace('"', " ").split()
        if "/login-actions/action-token" in part
    ]
    assert found, text
    assert urlsplit(found[0]).netloc == urlsplit(provider.issuer).netloc
    return found[0]
