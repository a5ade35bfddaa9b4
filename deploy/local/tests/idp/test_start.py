"""Starting the identity provider: only in development, with one key that outlives it."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx2
import pytest

from pulse_local.idp.keys import KEY_FILE, load_or_create_key
from pulse_local.idp.settings import BadSettings, parse_settings

if TYPE_CHECKING:
    from pathlib import Path


def environment(data_dir: Path, port: int) -> dict[str, str]:
    return {
        "PULSE_ENV": "development",
        "IDP_PORT": str(port),
        "IDP_ISSUER": "https://localhost:8443/realms/pulse",
        "IDP_DATA_DIR": str(data_dir),
        "IDP_CLIENT_SECRET": "s" * 40,
        "IDP_ADMIN_CLIENT_SECRET": "a" * 40,
        "IDP_API_CLIENT_SECRET": "p" * 40,
        "IDP_BACKCHANNEL_LOGOUT_URI": "https://localhost:8443/auth/backchannel-logout",
        "IDP_SMTP_PORT": "2525",
        "IDP_REDIRECT_URI": "https://localhost:8443/auth/callback",
        "IDP_POST_LOGOUT_URI": "https://localhost:8443/",
        "IDP_DEMO_PASSWORD": "correct horse",
    }


def test_the_key_is_kept_and_private(tmp_path: Path) -> None:
    first = load_or_create_key(tmp_path / "idp")
    second = load_or_create_key(tmp_path / "idp")

    assert first.kid == second.kid
    assert stat.S_IMODE((tmp_path / "idp" / KEY_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PULSE_ENV", "production"),
        ("PULSE_ENV", ""),
        ("IDP_PORT", "0"),
        ("IDP_PORT", "٣"),
        ("IDP_ISSUER", "https://localhost:8443/"),
        ("IDP_ISSUER", "javascript:/realms/pulse"),
        ("IDP_REDIRECT_URI", "https://localhost/cb?x=1"),
        ("IDP_CLIENT_SECRET", "short"),
        ("IDP_ADMIN_CLIENT_SECRET", "short"),
        ("IDP_API_CLIENT_SECRET", ""),
        ("IDP_BACKCHANNEL_LOGOUT_URI", ""),
        ("IDP_SMTP_PORT", "70000"),
        ("IDP_DEMO_PASSWORD", "short"),
        ("IDP_DATA_DIR", ""),
    ],
)
def test_a_wrong_setting_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=name):
        parse_settings(environment(tmp_path, 1) | {name: value})


def test_every_mistake_is_reported_at_once_and_no_secret_is() -> None:
    with pytest.raises(BadSettings) as caught:
        parse_settings({"IDP_CLIENT_SECRET": "hush-hush"})

    assert str(caught.value).count(";") >= 6
    assert "hush-hush" not in str(caught.value)


def test_settings_do_not_show_their_secrets(tmp_path: Path) -> None:
    shown = repr(parse_settings(environment(tmp_path, 1)))

    assert "correct horse" not in shown
    assert not [letter for letter in "sap" if letter * 40 in shown]


def test_the_program_refuses_to_start_in_production(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pulse_local.idp"],
        env=environment(tmp_path, 1) | {"PULSE_ENV": "production"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert result.returncode == 2
    assert "never for production" in result.stderr


def test_the_program_starts_and_says_that_it_is_ready(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "pulse_local.idp"], env=environment(tmp_path, port)
    )
    try:
        ready = _wait_for(f"http://127.0.0.1:{port}/health/ready")
    finally:
        process.terminate()
        process.wait(10)

    assert ready.json() == {"status": "UP"}
    assert "server" not in ready.headers


def _wait_for(url: str) -> httpx2.Response:
    deadline = time.monotonic() + 15
    while True:
        try:
            return httpx2.get(url)
        except httpx2.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
