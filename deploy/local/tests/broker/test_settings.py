"""The broker starts in development only, and says everything that is wrong at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pulse_local.broker.settings import BadSettings, parse_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "file.pem"
    file.touch()
    return {
        "PULSE_ENV": "development",
        "BROKER_TLS_PORT": "8483",
        "BROKER_TOKEN_PORT": "8484",
        "BROKER_PLAIN_PORT": "8418",
        "BROKER_API_PORT": "8485",
        "BROKER_CERT_FILE": str(file),
        "BROKER_KEY_FILE": str(file),
        "BROKER_CLIENT_CA_FILE": str(file),
        "BROKER_AUTH_URL": "http://127.0.0.1:8413/api/v1/internal/mqtt-auth",
        "BROKER_ACL_URL": "http://127.0.0.1:8413/api/v1/internal/mqtt-acl",
        "BROKER_DENIED_URL": "http://127.0.0.1:8413/api/v1/internal/mqtt-denied",
        "BROKER_AUTH_SECRET": "s" * 32,
        "BROKER_API_KEY": "key",
        "BROKER_API_SECRET": "t" * 32,
    }


def test_good_settings_are_read(environment: dict[str, str]) -> None:
    settings = parse_settings(environment)

    assert (settings.tls_port, settings.plain_port, settings.api_port) == (8483, 8418, 8485)


@pytest.mark.parametrize("mode", ["production", "", "Development"])
def test_it_refuses_to_start_outside_development(environment: dict[str, str], mode: str) -> None:
    with pytest.raises(BadSettings, match="PULSE_ENV"):
        parse_settings(environment | {"PULSE_ENV": mode})


def test_every_mistake_is_reported_at_once() -> None:
    with pytest.raises(BadSettings) as caught:
        parse_settings({"BROKER_TLS_PORT": "70000", "BROKER_AUTH_SECRET": "short"})

    for name in (
        "PULSE_ENV", "BROKER_TLS_PORT", "BROKER_TOKEN_PORT", "BROKER_PLAIN_PORT", "BROKER_API_PORT", "BROKER_CERT_FILE",
        "BROKER_KEY_FILE", "BROKER_CLIENT_CA_FILE", "BROKER_AUTH_URL", "BROKER_ACL_URL",
        "BROKER_AUTH_SECRET", "BROKER_API_KEY", "BROKER_API_SECRET",
    ):  # fmt: skip
        assert name in str(caught.value)


def test_secrets_are_not_printed(environment: dict[str, str]) -> None:
    shown = repr(parse_settings(environment))

    assert "ssss" not in shown
    assert "tttt" not in shown
