"""The compose files: whole, pinned, hardened, without a secret, and with exactly the settings that each service has."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy import shipped

Document = dict[str, Any]
FILES = sorted((Path(__file__).resolve().parents[2] / "deploy" / "compose").glob("*.yaml"))
_SECRET_NAME = re.compile(
    r"PASSWORD|SECRET|PASSPHRASE|ENCRYPTION_KEY|ADMIN_KEY|API_KEY|COOKIE|DATABASE_URL"
)


@pytest.fixture
def compose() -> Document:
    return shipped.compose()


@pytest.fixture
def settings_of() -> dict[str, frozenset[str]]:
    return shipped.SETTINGS


@pytest.fixture
def repository() -> Path:
    return shipped.ROOT


def test_every_file_is_included_once_and_every_service_has_its_file(
    repository: Path, compose: Document, settings_of: dict[str, frozenset[str]]
) -> None:
    folder = repository / "deploy" / "compose"

    included = yaml.safe_load((folder / "compose.yaml").read_text())["include"]

    assert sorted([*included, "compose.yaml", "hardened.yaml"]) == [path.name for path in FILES]
    for service in settings_of:
        assert service in yaml.safe_load((folder / f"{service}.yaml").read_text())["services"]
    infrastructure = {"postgres", "nats", "emqx", "keycloak", "caddy"}
    jobs = {"migrate", "logins", "device_trust"}
    assert compose["services"].keys() == settings_of.keys() | infrastructure | jobs


def test_a_service_gets_exactly_its_own_settings(
    compose: Document, settings_of: dict[str, frozenset[str]]
) -> None:
    given = {name: frozenset(compose["services"][name]["environment"]) for name in settings_of}

    assert given == settings_of


def test_no_container_is_more_powerful_than_it_must_be(compose: Document) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        assert not {"network_mode", "pid", "ipc", "userns_mode", "devices"} & service.keys() or (
            service["network_mode"] == "none"
        ), name
        assert service.get("cap_add", []) in ([], ["NET_BIND_SERVICE"]), name
        assert "docker.sock" not in str(service), name


def test_only_caddy_and_the_broker_are_reached_from_outside(compose: Document) -> None:
    services = compose["services"]

    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert published.keys() == {"caddy", "emqx"}
    assert [port.rsplit(":", 1)[1] for port in published["emqx"]] == ["8883", "8884", "9001"]
    assert [port.rsplit(":", 1)[1] for port in published["caddy"]] == ["443", "80"]


def test_only_those_who_must_call_out_have_a_way_out(compose: Document) -> None:
    open_networks = {name for name, net in compose["networks"].items() if not net.get("internal")}

    with_a_way_out = {
        name
        for name, service in compose["services"].items()
        if open_networks & set(service.get("networks", []))
    }

    assert with_a_way_out == {
        *("caddy", "emqx", "delivery_worker", "billing_webhooks"),
        *("keycloak", "ui_iot"),  # mail
    }


def test_the_authority_gets_a_way_out_only_with_the_siem_that_asks_for_it(
    repository: Path, compose: Document
) -> None:
    folder = repository / "deploy" / "compose"
    optional = yaml.safe_load((folder / "optional" / "siem.yaml").read_text())
    authority = compose["services"]["cert_worker"]

    assert authority["networks"] == ["edge", "internal"]
    assert optional.keys() == {"services"}
    assert optional["services"].keys() == {"cert_worker"}
    assert optional["services"]["cert_worker"]["networks"] == ["egress"]
    (mount,) = optional["services"]["cert_worker"]["volumes"]
    assert mount.split(":")[-2:] == ["/etc/pulse/siem-ca.pem", "ro"]
    assert "/etc/pulse/siem-ca.pem" in authority["environment"]["AUDIT_SYSLOG_CA_FILE"]


def test_heads_of_the_audit_log_are_kept_apart_from_the_keys_and_the_database(
    repository: Path, compose: Document
) -> None:
    authority = compose["services"]["cert_worker"]
    mounts = dict(reversed(volume.split(":")) for volume in authority["volumes"])

    heads = authority["environment"]["AUDIT_HEADS_DIRECTORY"]

    assert mounts[heads] == "audit_heads"
    others = [service for name, service in compose["services"].items() if name != "cert_worker"]
    assert "audit_heads" not in str([service.get("volumes") for service in others])
    # A new volume takes its owner from the image's folder: without one the service could not write.
    assert heads in (repository / "deploy" / "images" / "Dockerfile").read_text()


def test_a_compromised_edge_cannot_reach_the_stores_or_the_broker_the_database(
    compose: Document,
) -> None:
    networks = {name: set(s.get("networks", [])) for name, s in compose["services"].items()}

    assert not networks["caddy"] & networks["postgres"]
    assert not networks["caddy"] & networks["mqtt_authz"]
    assert not networks["emqx"] & networks["postgres"]
    assert not networks["emqx"] & networks["nats"]


def test_services_believe_caddy_alone_about_clients_addresses(
    repository: Path, compose: Document
) -> None:
    text = (repository / "deploy" / "compose" / ".env.example").read_text()
    example = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    caddy = ip_address(example["EDGE_CADDY_ADDRESS"])

    assert compose["services"]["caddy"]["networks"]["edge"] == {
        "ipv4_address": "${EDGE_CADDY_ADDRESS:?}",
        "aliases": ["${PULSE_DOMAIN:?}"],
    }
    for name, service in compose["services"].items():
        trusted = service.get("environment", {}).get("TRUSTED_PROXIES", "${EDGE_CADDY_ADDRESS:?}")
        assert trusted == "${EDGE_CADDY_ADDRESS:?}", name
    assert caddy in ip_network(example["EDGE_SUBNET"])
    # Otherwise a container that starts before Caddy could be given its address.
    assert caddy not in ip_network(example["EDGE_IP_RANGE"])


def test_everything_restarts_but_jobs_and_tells_its_health(compose: Document) -> None:
    for name, service in compose["services"].items():
        if name in {"migrate", "logins", "device_trust"}:
            assert service["restart"] == "no", name
            continue
        assert service["restart"] == "unless-stopped", name
        # Our own images bring their health check.
        assert "healthcheck" in service or service["image"].startswith("pulse/"), name


def test_images_are_pinned(compose: Document) -> None:
    for name, service in compose["services"].items():
        image, _, tag = service["image"].partition(":")
        if image.startswith("pulse/") and image != "pulse/keycloak":
            assert tag.startswith("${PULSE_VERSION:?"), name
        else:
            assert re.match(r"\d+\.\d+", tag), f"{name}: {service['image']}"


def test_the_broker_stays_on_the_apache_licensed_line(compose: Document) -> None:
    assert compose["services"]["emqx"]["image"].startswith("emqx/emqx:5.8.")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_secret_is_written_down(path: Path) -> None:
    for service in (yaml.safe_load(path.read_text()).get("services") or {}).values():
        for name, value in (service.get("environment") or {}).items():
            if _SECRET_NAME.search(name):
                assert re.search(r"\$\{\w+:(\?|-\})", str(value)), f"{name} is given in the file"


def test_the_example_names_every_variable_and_holds_no_secret(
    repository: Path, compose: Document
) -> None:
    text = (repository / "deploy" / "compose" / ".env.example").read_text()
    example = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))

    used = set(re.findall(r"(?<!\$)\$\{(\w+)", str(compose)))

    assert used == example.keys()
    assert [name for name, value in example.items() if _SECRET_NAME.search(name) and value] == []


def test_generated_secrets_are_long_private_and_never_overwritten(
    repository: Path, tmp_path: Path
) -> None:
    for name in ("generate_env.py", ".env.example"):
        shutil.copy(repository / "deploy" / "compose" / name, tmp_path)
    command = [sys.executable, str(tmp_path / "generate_env.py")]

    first = subprocess.run(command, check=False, capture_output=True, text=True)
    written = (tmp_path / ".env").read_text()
    second = subprocess.run(command, check=False, capture_output=True, text=True)

    assert (first.returncode, second.returncode) == (0, 1)
    assert (tmp_path / ".env").read_text() == written
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    values = dict(re.findall(r"^(\w+)=(.*)$", written, re.MULTILINE))
    # No former secret, and no billing, is what one begins with.
    empty = {"MQTT_AUTH_SECRET_PREVIOUS", "DELIVERY_SECRET_KEY_PREVIOUS", "STRIPE_API_KEY"}
    secret = {n: v for n, v in values.items() if _SECRET_NAME.search(n) and n not in empty}
    assert min(map(len, secret.values())) >= 44
    assert len(set(secret.values())) == len(secret)
    assert not set(secret.values()) & set(first.stdout.split())


def test_docker_compose_itself_accepts_the_files(repository: Path, tmp_path: Path) -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(
            ["docker", "compose", "version"], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("docker compose is not installed: its own validation did not run")
    shutil.copytree(repository / "deploy", tmp_path / "deploy")
    folder = tmp_path / "deploy" / "compose"
    (folder / ".env").unlink(missing_ok=True)
    shutil.rmtree(folder / "secrets", ignore_errors=True)
    subprocess.run([sys.executable, str(folder / "generate_env.py")], check=True)

    results = {
        path.name: subprocess.run(
            ["docker", "compose", "-f", str(folder / path.name), "config", "--quiet"],
            check=False,
            capture_output=True,
            text=True,
            # Nothing of the caller's environment may fill a variable that .env forgot.
            env={"PATH": os.environ["PATH"], "HOME": str(Path.home())},  # noqa: TID251
        ).stderr
        for path in FILES
        if path.name != "hardened.yaml"
    }

    assert set(results.values()) == {""}, results
