"""The service does not start on half a configuration."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cert_worker.settings import Settings
from pulse_common import settings

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {
    "PULSE_ENV": "development",
    "HTTP_PORT": "8412",
    "DATABASE_URL": "postgresql://svc_cert_worker:password@127.0.0.1:1/pulse",
    "NATS_URL": "nats://127.0.0.1:1",
    "NATS_USER": "svc_cert_worker",
    "NATS_PASSWORD": "a-password-long-enough",
    "CA_DIRECTORY": "/nowhere/ca",
    "CA_KEY_PASSPHRASE": "a-passphrase-of-at-least-32-characters",
    "CRL_BASE_URL": "http://localhost:8480/pki",
}


def test_complete_settings_load_with_ninety_days() -> None:
    assert settings.load(Settings, GOOD).certificate_lifetime_days == 90


def test_passphrase_never_prints() -> None:
    assert GOOD["CA_KEY_PASSPHRASE"] not in repr(settings.load(Settings, GOOD))


@pytest.mark.parametrize("name", sorted(GOOD))
def test_every_variable_is_required(name: str) -> None:
    given = {key: value for key, value in GOOD.items() if key != name}

    with pytest.raises(settings.SettingsError, match=f"{name} is required"):
        settings.load(Settings, given)


@pytest.mark.parametrize(
    "url",
    [
        "https://pki.test/pki",
        "http://pki.test/pki/",
        "http://pki.test/p ki",
        "http://pki.test/pki?x",
        "http://pki.test/ä",
        "pki.test",
    ],
)
def test_base_url_must_be_plain(url: str) -> None:
    with pytest.raises(settings.SettingsError, match="CRL_BASE_URL"):
        settings.load(Settings, GOOD | {"CRL_BASE_URL": url})


def test_process_refuses_to_start_and_lists_every_mistake_at_once(tmp_path: Path) -> None:
    wrong = GOOD | {"CA_KEY_PASSPHRASE": "short", "CERTIFICATE_LIFETIME_DAYS": "0"}
    del wrong["DATABASE_URL"], wrong["CA_DIRECTORY"]

    finished = subprocess.run(
        [sys.executable, "-m", "cert_worker"],
        env=wrong,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )

    assert finished.returncode == 78
    for name in (
        "DATABASE_URL",
        "CA_DIRECTORY",
        "CA_KEY_PASSPHRASE",
        "CERTIFICATE_LIFETIME_DAYS",
    ):
        assert name in finished.stderr
    assert "short" not in finished.stderr.replace("should have", "")
