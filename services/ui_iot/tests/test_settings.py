from __future__ import annotations

import base64

import pytest

from pulse_common.settings import SettingsError, load
from ui_iot.settings import Settings

KEY = base64.b64encode(b"k" * 32).decode()
OLD_KEY = base64.b64encode(b"p" * 32).decode()
GOOD = {
    "PULSE_ENV": "production",
    "HTTP_PORT": "8410",
    "DATABASE_URL": "postgresql://svc_ui_iot:hidden-one@localhost/pulse",
    "OPERATOR_DATABASE_URL": "postgresql://svc_ui_iot_operator:hidden-one@localhost/pulse",
    "NATS_URL": "nats://localhost:4222",
    "NATS_USER": "ui_iot",
    "NATS_PASSWORD": "n" * 16,
    "PUBLIC_URL": "https://pulse.example",
    "OIDC_ISSUER": "https://pulse.example/realms/pulse",
    "OIDC_INTERNAL_URL": "http://keycloak:8080/realms/pulse",
    "OIDC_AUDIENCE": "pulse-api",
    "OIDC_CLIENT_ID": "pulse-ui",
    "OIDC_CLIENT_SECRET": "s" * 32,
    "OIDC_ADMIN_CLIENT_SECRET": "a" * 32,
    "SESSION_ENCRYPTION_KEY": KEY,
    "SMTP_HOST": "localhost",
    "SMTP_FROM": "pulse@pulse.example",
}


def test_good_settings_load() -> None:
    assert load(Settings, GOOD).encryption_keys() == [b"k" * 32]


def test_previous_key_comes_after_the_current_one() -> None:
    settings = load(Settings, {**GOOD, "SESSION_ENCRYPTION_KEY_PREVIOUS": OLD_KEY})

    assert settings.encryption_keys() == [b"k" * 32, b"p" * 32]


def test_every_mistake_is_listed_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, {"OIDC_CLIENT_SECRET": "short", "SESSION_ENCRYPTION_KEY": "c2hvcnQ="})

    message = str(caught.value)
    for name in ("OIDC_CLIENT_SECRET:", "SESSION_ENCRYPTION_KEY:"):
        assert name in message
    for name in GOOD.keys() - {"OIDC_CLIENT_SECRET", "SESSION_ENCRYPTION_KEY"}:
        assert f"{name} is required" in message


@pytest.mark.parametrize(
    "key", [KEY[:-1], "k" * 32, base64.b64encode(b"k" * 31).decode(), f"{KEY}!", "ключ" * 11]
)
@pytest.mark.parametrize("name", ["SESSION_ENCRYPTION_KEY", "SESSION_ENCRYPTION_KEY_PREVIOUS"])
def test_key_of_another_form_is_refused_and_not_repeated(name: str, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, {**GOOD, name: key})

    assert name in str(caught.value)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://pulse.example",
        "https://pulse.example/",
        "pulse.example",
        "https://pulse.example\n",
        "https://PULSE.example",
    ],
)
def test_public_url_is_an_https_origin(url: str) -> None:
    with pytest.raises(SettingsError, match="PUBLIC_URL"):
        load(Settings, {**GOOD, "PUBLIC_URL": url})


def test_clients_addresses_and_limits_have_safe_defaults() -> None:
    settings = load(Settings, GOOD)

    assert settings.trusted_proxies == ()
    assert settings.step_up_max_age_seconds == 300
    assert (settings.auth_attempts_per_minute, settings.api_requests_per_minute) == (30, 600)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("TRUSTED_PROXIES", "caddy"),
        ("STEP_UP_MAX_AGE_SECONDS", "0"),
        ("AUTH_ATTEMPTS_PER_MINUTE", "0"),
        ("API_REQUESTS_PER_MINUTE", "-1"),
        ("RATE_LIMIT_STORE_URL", "http://localhost"),
    ],
)
def test_setting_that_would_protect_nothing_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load(Settings, {**GOOD, name: value})


def test_secrets_never_print() -> None:
    printed = repr(load(Settings, GOOD))

    for secret in ("hidden-one", "n" * 16, "s" * 32, KEY):
        assert secret not in printed


def test_programs_of_the_shipped_realm_are_let_in_unless_a_setting_says_otherwise() -> None:
    shipped = load(Settings, GOOD).oidc_allowed_clients
    people_only = load(Settings, {**GOOD, "OIDC_ALLOWED_CLIENTS": "pulse-ui"}).oidc_allowed_clients

    assert [rule.is_program("pulse-api-acme") for rule in (shipped, people_only)] == [True, False]


@pytest.mark.parametrize("clients", ["*", "pulse-ui,*", "pulse-ui,pulse*", "other", "pulse-ui-*"])
def test_client_list_that_lets_in_too_many_or_not_its_own_people_is_refused(clients: str) -> None:
    with pytest.raises(SettingsError, match="OIDC_ALLOWED_CLIENTS"):
        load(Settings, {**GOOD, "OIDC_ALLOWED_CLIENTS": clients})
