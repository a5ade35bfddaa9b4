from __future__ import annotations

import pytest

from pulse_common.settings import Key, ServiceSettings, SettingsError, load

GOOD = {
    "PULSE_ENV": "development",
    "HTTP_PORT": "8080",
    "DATABASE_URL": "postgresql://svc_x:password@localhost/pulse",
    "NATS_URL": "nats://localhost:4222",
    "NATS_USER": "svc_x",
    "NATS_PASSWORD": "long-enough-password",
}


class Settings(ServiceSettings):
    shared_secret: Key


def test_every_mistake_is_reported_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, {"HTTP_PORT": "0", "NATS_PASSWORD": "short", "SHARED_SECRET": "short too"})

    message = str(caught.value)
    for name in ("PULSE_ENV is required", "DATABASE_URL is required", "NATS_URL is required"):
        assert name in message
    for name in ("HTTP_PORT:", "NATS_PASSWORD:", "SHARED_SECRET:"):
        assert name in message


def test_a_mistake_does_not_repeat_the_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, {**GOOD, "SHARED_SECRET": "hunter2"})

    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_empty_counts_as_missing() -> None:
    with pytest.raises(SettingsError, match="SHARED_SECRET is required"):
        load(Settings, {**GOOD, "SHARED_SECRET": ""})


def test_secret_does_not_show_itself() -> None:
    settings = load(Settings, {**GOOD, "SHARED_SECRET": "s" * 40})

    assert "s" * 40 not in f"{settings} {settings!r} {settings.model_dump_json()}"
    assert settings.shared_secret.get_secret_value() == "s" * 40
