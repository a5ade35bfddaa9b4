"""What the admin API must not do, however it is asked; what it does is in tests/identity, beside a real Keycloak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx2
    from deploy.local.tests.idp.conftest import Application, Browser, MovableClock

USERS = "/admin/realms/pulse/users"
ALICE = "a11ce000-5f4e-4b1d-9c3a-2d8f6b7e1a01"
ADMIN = ("pulse-ui-admin", "a" * 40)
TOKEN = "/realms/pulse/protocol/openid-connect/token"


@pytest.fixture
def headers(provider: httpx2.Client) -> dict[str, str]:
    answer = provider.post(TOKEN, data={"grant_type": "client_credentials"}, auth=ADMIN)
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b'"x"', b"\xff", b"[" * 30_000])
@pytest.mark.parametrize("path", ["", f"/{ALICE}/reset-password"])
def test_an_unreadable_body_is_refused(
    provider: httpx2.Client, headers: dict[str, str], path: str, body: bytes
) -> None:
    method = "PUT" if path else "POST"

    answer = provider.request(method, USERS + path, content=body, headers=headers)

    assert answer.status_code == 400


def test_a_long_body_is_refused(provider: httpx2.Client, headers: dict[str, str]) -> None:
    answer = provider.post(USERS, content=b" " * 70_000, headers=headers)

    assert answer.status_code == 413


@pytest.mark.parametrize(
    "changes",
    [
        {"email": 1},
        {"email": ["a@b.example"]},
        {"email": "a@b.example\r\nBcc: c@d.example"},
        {"enabled": "yes"},
        {"attributes": []},
        {"attributes": {"tenant_id": "11111111-1111-4111-8111-111111111111"}},
        {"attributes": {"tenant_id": ["a", "b"]}},
        {"credentials": {}},
        {"credentials": [{"type": "otp", "value": "x" * 20}]},
        {"credentials": [{"type": "password", "value": 12}]},
        {"firstName": "x" * 300},
    ],
)
def test_a_value_of_another_kind_is_refused(
    provider: httpx2.Client, headers: dict[str, str], changes: dict[str, Any]
) -> None:
    answer = provider.put(f"{USERS}/{ALICE}", json=changes, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["errorMessage"]


def test_an_admin_token_ends_after_a_minute(
    provider: httpx2.Client, headers: dict[str, str], clock: MovableClock
) -> None:
    clock.ahead = 61

    assert provider.get(USERS, headers=headers).status_code == 401


def test_a_mail_server_that_is_away_is_said(
    provider: httpx2.Client, headers: dict[str, str]
) -> None:
    answer = provider.put(
        f"{USERS}/{ALICE}/execute-actions-email", json=["UPDATE_PASSWORD"], headers=headers
    )

    assert answer.status_code == 500


def test_a_disabled_person_is_told_only_with_the_right_password(
    provider: httpx2.Client, browser: Browser, application: Application, headers: dict[str, str]
) -> None:
    provider.put(f"{USERS}/{ALICE}", json={"enabled": False}, headers=headers)

    wrong = browser.log_in(application.log_in_url(), password="not hers")
    right = browser.log_in(application.log_in_url())

    assert "disabled" not in wrong.text
    assert "Account is disabled" in right.text
    assert "KEYCLOAK_IDENTITY" not in browser.cookies


def test_an_open_session_of_a_disabled_person_gives_no_code(
    provider: httpx2.Client, browser: Browser, application: Application, headers: dict[str, str]
) -> None:
    application.tokens(browser)
    provider.put(f"{USERS}/{ALICE}", json={"enabled": False}, headers=headers)

    answer = browser.get(application.log_in_url())

    assert answer.status_code == 200  # the form again


@pytest.mark.parametrize("key", ["", "unknown", "a" * 43])
def test_an_unknown_invitation_is_no_longer_valid(provider: httpx2.Client, key: str) -> None:
    page = provider.get(f"/realms/pulse/login-actions/action-token?key={key}")

    assert page.status_code == 400
    assert "no longer valid" in page.text
