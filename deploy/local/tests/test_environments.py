"""Environments: each process gets what it needs, and no other's secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pulse_local.environments import Environments, minimal
from pulse_local.parts import SERVICES
from pulse_local.ports import ports_from
from pulse_local.secrets import load_or_create_secrets
from pulse_local.tls import TlsFiles

if TYPE_CHECKING:
    from pathlib import Path

COMMON = {"PULSE_ENV", "LOG_LEVEL", "HTTP_HOST", "HTTP_PORT", "DATABASE_URL"}
COMMON |= {"NATS_URL", "NATS_USER", "NATS_PASSWORD"}


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    tls = TlsFiles(
        ca=tmp_path / "web-ca.pem",
        ca_key=tmp_path / "web-ca-key.pem",
        certificate=tmp_path / "web.pem",
        key=tmp_path / "web-key.pem",
    )
    secrets = load_or_create_secrets(tmp_path / "secrets.json")
    return Environments(ports=ports_from(8400), secrets=secrets, tls=tls, data=tmp_path)


@pytest.mark.parametrize("service", SERVICES)
def test_service_gets_the_common_settings_under_its_own_name(
    environments: Environments, service: str
) -> None:
    found = environments.of_service(service)

    assert set(found) >= COMMON
    assert found["NATS_USER"] == f"svc_{service}"
    assert f"//svc_{service}:" in found["DATABASE_URL"]


def test_callers_environment_is_not_passed_on(
    environments: Environments, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "HTTPS_PROXY", "PGPASSWORD"):
        monkeypatch.setenv(name, "callers own")

    for service in SERVICES:
        assert "callers own" not in environments.of_service(service).values()
    assert set(minimal()) <= {"PATH", "HOME", "LANG", "PYTHONUNBUFFERED"}


@pytest.mark.parametrize("service", sorted(set(SERVICES) - {"provision_api"}))
def test_admin_key_is_known_to_provision_api_only(environments: Environments, service: str) -> None:
    key = environments.secrets.provision_admin_key

    assert key not in environments.of_service(service).values()
    assert key not in environments.of_caddy().values()


@pytest.mark.parametrize("service", sorted(set(SERVICES) - {"cert_worker"}))
def test_ca_passphrase_is_known_to_cert_worker_only(
    environments: Environments, service: str
) -> None:
    found = environments.of_service(service)

    assert environments.secrets.ca_key_passphrase not in found.values()


@pytest.mark.parametrize("service", SERVICES)
def test_service_knows_no_other_services_passwords(
    environments: Environments, service: str
) -> None:
    own = {f"svc_{service}", "svc_ui_iot_operator" if service == "ui_iot" else ""}
    text = " ".join(environments.of_service(service).values())

    others = [p for login, p in environments.secrets.database.items() if login not in own]
    others += [p for login, p in environments.secrets.nats.items() if login not in own]
    others += [environments.secrets.postgres_superuser, environments.secrets.demo_password]
    assert not [password for password in others if password in text]


def test_sign_in_addresses_agree_between_ui_api_and_identity_provider(
    environments: Environments,
) -> None:
    ui, api = (environments.of_service(name) for name in ("ui_iot", "provision_api"))
    provider = environments.of_identity_provider()

    assert ui["OIDC_ISSUER"] == api["OIDC_ISSUER"] == provider["IDP_ISSUER"]
    assert provider["IDP_REDIRECT_URI"] == f"{ui['PUBLIC_URL']}/auth/callback"
    assert ui["OIDC_CLIENT_SECRET"] == provider["IDP_CLIENT_SECRET"]
    assert ui["OIDC_ADMIN_CLIENT_SECRET"] == provider["IDP_ADMIN_CLIENT_SECRET"]


def test_broker_and_authoriser_share_their_secrets(environments: Environments) -> None:
    broker, authoriser = environments.of_broker(), environments.of_service("mqtt_authz")

    assert broker["BROKER_AUTH_SECRET"] == authoriser["MQTT_AUTH_SECRET"]
    assert broker["BROKER_API_KEY"] == authoriser["EMQX_API_KEY"]
    assert broker["BROKER_API_SECRET"] == authoriser["EMQX_API_SECRET"]
    assert broker["BROKER_CLIENT_CA_FILE"] == str(environments.trust_store)
