"""Secrets: made once, private, never shown."""

from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING

import pytest

from pulse_local.secrets import LOGINS, SecretsFileError, load_or_create_secrets

if TYPE_CHECKING:
    from pathlib import Path


def test_secrets_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"

    load_or_create_secrets(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_second_run_finds_the_same_secrets(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"

    assert load_or_create_secrets(path) == load_or_create_secrets(path)


def test_two_checkouts_share_no_secret(tmp_path: Path) -> None:
    one = load_or_create_secrets(tmp_path / "one.json")
    other = load_or_create_secrets(tmp_path / "other.json")

    assert one.demo_password != other.demo_password
    assert not set(one.database.values()) & set(other.database.values())


def test_secrets_are_long_enough_for_every_service(tmp_path: Path) -> None:
    made = load_or_create_secrets(tmp_path / "secrets.json")

    long = [made.oidc_client, made.provision_admin_key, made.ca_key_passphrase, made.mqtt_auth]
    long += [made.oidc_admin_client, made.oidc_api_client]
    long += [made.mqtt_admin, made.broker_api_secret, *made.nats.values(), *made.database.values()]
    assert min(map(len, long)) >= 32
    assert len(base64.b64decode(made.session_encryption_key)) == 32


def test_every_login_has_a_password_of_its_own(tmp_path: Path) -> None:
    made = load_or_create_secrets(tmp_path / "secrets.json")

    assert set(made.database) == set(LOGINS)
    assert len(set(made.database.values()) | set(made.nats.values())) == 2 * len(LOGINS)


def test_secrets_do_not_print(tmp_path: Path) -> None:
    made = load_or_create_secrets(tmp_path / "secrets.json")

    assert made.provision_admin_key not in repr(made)


def test_file_opened_up_by_hand_is_closed_again(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    load_or_create_secrets(path)
    path.chmod(0o644)

    load_or_create_secrets(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", '{"demo_password": "x"}'])
def test_unusable_file_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(text)

    with pytest.raises(SecretsFileError, match="make reset"):
        load_or_create_secrets(path)

    assert path.read_text() == text
