"""The service refuses to start on any missing or short secret, and says all of them at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mqtt_authz.settings import Settings
from pulse_common.settings import SettingsError, load

GOOD = {
    "PULSE_ENV": "development",
    "HTTP_PORT": "8413",
    "DATABASE_URL": "postgresql://svc_mqtt_authz:pw@127.0.0.1:1/pulse",
    "NATS_URL": "nats://127.0.0.1:1",
    "NATS_USER": "mqtt_authz",
    "NATS_PASSWORD": "n" * 16,
    "MQTT_AUTH_SECRET": "a" * 32,
    "MQTT_ADMIN_PASSWORD": "b" * 32,
    "EMQX_API_URL": "http://127.0.0.1:8485",
    "EMQX_API_KEY": "pulse",
    "EMQX_API_SECRET": "c" * 32,
}


def test_complete_settings_load_and_print_no_secret() -> None:
    settings = load(Settings, GOOD)

    assert settings.mqtt_auth_secret_previous is None
    for secret in ("a" * 32, "b" * 32, "c" * 32):
        assert secret not in repr(settings)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_every_variable_is_required(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load(Settings, GOOD | {name: ""})


@pytest.mark.parametrize(
    "name",
    ["MQTT_AUTH_SECRET", "MQTT_AUTH_SECRET_PREVIOUS", "MQTT_ADMIN_PASSWORD", "EMQX_API_SECRET"],
)
def test_short_secret_is_refused_without_being_repeated(name: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        load(Settings, GOOD | {name: "tooshort-tooshort"})

    assert "tooshort" not in str(refused.value)


def test_process_does_not_start_and_names_every_mistake() -> None:
    environment = {"PATH": os.defpath, "PULSE_ENV": "development", "MQTT_AUTH_SECRET": "short"}

    ended = subprocess.run(
        [sys.executable, "-m", "mqtt_authz"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == 78
    for name in GOOD.keys() - {"PULSE_ENV"}:
        assert name in ended.stderr
