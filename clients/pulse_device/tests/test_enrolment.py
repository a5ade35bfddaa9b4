"""Enrolment against a server of our own over real TLS."""

from __future__ import annotations

import json
import ssl
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from clients.pulse_device.tests.pki import DAY, DEVICE, NAME, TENANT, Ca, new_key, pem
from clients.pulse_device.tests.pki import server_context as tls_of
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from pulse_device.__main__ import main
from pulse_device.directory import DeviceDirectory, pending
from pulse_device.identity import load_identity
from pulse_device.names import DeviceName

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clients.pulse_device.tests.conftest import World
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

OTHER = DeviceName(tenant_id=TENANT, device_id="bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_enrolled_device_has_private_key_and_loadable_identity(
    world: World, directory: DeviceDirectory
) -> None:
    code = main(world.enroll_arguments(directory.path, "--token", "t0"))

    assert code == 0
    assert mode_of(directory.path) == 0o700
    assert all(mode_of(path) == 0o600 for path in directory.path.iterdir())
    names = sorted(path.name for path in directory.path.iterdir())
    expected = ["broker-ca.pem", "certificate.pem", "chain.pem", "config.json", "device-key.pem"]
    assert names == expected
    identity = load_identity(directory)
    assert identity.config.name == NAME
    assert identity.config.broker.port == world.broker.port
    assert json.loads(directory.config.read_text())["device_id"] == DEVICE


def test_private_key_never_leaves_the_machine(world: World, directory: DeviceDirectory) -> None:
    main(world.enroll_arguments(directory.path, "--token", "t0"))

    assert "PRIVATE KEY" not in json.dumps(world.provisioning.requests)
    assert set(world.provisioning.requests[0]) == {"token", "csr"}


def test_token_may_come_from_the_environment(
    world: World, directory: DeviceDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_ENROLMENT_TOKEN", "from-environment")

    code = main(world.enroll_arguments(directory.path))

    assert code == 0
    assert world.provisioning.requests[0]["token"] == "from-environment"


def test_token_may_come_from_stdin(world: World, directory: DeviceDirectory) -> None:
    arguments = world.enroll_arguments(directory.path, "--token", "-")

    ended = subprocess.run(
        [sys.executable, "-m", "pulse_device", *arguments], input=b"from-stdin\n", check=False
    )

    assert ended.returncode == 0
    assert world.provisioning.requests[0]["token"] == "from-stdin"


def test_missing_token_is_a_usage_error(world: World, directory: DeviceDirectory) -> None:
    code = main(world.enroll_arguments(directory.path))

    assert code == 2
    assert not directory.path.exists()


@pytest.mark.parametrize("server", ["http://localhost:1", "localhost", "https://u:p@h", "https://"])
def test_server_without_verified_tls_is_a_usage_error(
    server: str, directory: DeviceDirectory
) -> None:
    code = main(["enroll", "--server", server, "--token", "t0", "--dir", str(directory.path)])

    assert code == 2
    assert not directory.path.exists()


def test_server_of_an_unknown_ca_never_sees_the_token(
    world: World, directory: DeviceDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = world.tmp_path / "stranger.pem"
    stranger.write_bytes(pem(Ca("Stranger").certificate))
    arguments = world.enroll_arguments(directory.path, "--token", "t0", "--ca", str(stranger))

    code = main(arguments)

    assert code == 4
    assert "is not trusted" in capsys.readouterr().err
    assert world.provisioning.requests == []


def test_without_ca_option_a_private_ca_is_not_trusted(
    world: World, directory: DeviceDirectory
) -> None:
    server = world.provisioning.url

    code = main(["enroll", "--server", server, "--token", "t", "--dir", str(directory.path)])

    assert code == 4
    assert world.provisioning.requests == []


def test_server_of_another_name_never_sees_the_token(
    world: World, directory: DeviceDirectory
) -> None:
    world.provisioning.stop()
    elsewhere = type(world.provisioning)(
        tls_of(world.web, world.tmp_path, "elsewhere.example"),
        devices=world.devices,
        broker_ca=world.web,
    )
    elsewhere.start()
    arguments = world.enroll_arguments(directory.path, "--token", "t0", "--server", elsewhere.url)

    code = main(arguments)
    elsewhere.stop()

    assert code == 4
    assert elsewhere.requests == []


def test_refusal_shows_the_detail_on_one_line(
    world: World, directory: DeviceDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = "unknown, used\nor expired\x1b[31m token"
    world.provisioning.refuse_with = (401, {"title": "Unauthorized", "detail": detail})

    code = main(world.enroll_arguments(directory.path, "--token", "t0"))

    assert code == 3
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "unknown, used or expired [31m token (HTTP status 401)" in shown


def test_redirect_is_not_followed(world: World, directory: DeviceDirectory) -> None:
    world.provisioning.refuse_with = (307, {})
    world.provisioning.location = f"{world.provisioning.url}/api/v1/provision/enroll"

    code = main(world.enroll_arguments(directory.path, "--token", "t0"))

    assert code == 3
    assert len(world.provisioning.requests) == 1


def test_retry_uses_the_key_of_the_failed_attempt(world: World, directory: DeviceDirectory) -> None:
    world.provisioning.refuse_with = (503, {"detail": "later"})
    arguments = world.enroll_arguments(directory.path, "--token", "t0")
    assert main(arguments) == 3
    kept = pending(directory.key).read_bytes()
    world.provisioning.refuse_with = None

    code = main(arguments)

    assert code == 0
    assert directory.key.read_bytes() == kept


def test_enrolled_device_is_not_overwritten(world: World, directory: DeviceDirectory) -> None:
    arguments = world.enroll_arguments(directory.path, "--token", "t0")
    main(arguments)
    before = directory.key.read_bytes()

    code = main(arguments)

    assert code == 5
    assert directory.key.read_bytes() == before
    assert len(world.provisioning.requests) == 1


def test_force_replaces_the_key(world: World, directory: DeviceDirectory) -> None:
    arguments = world.enroll_arguments(directory.path, "--token", "t0")
    main(arguments)
    before = directory.key.read_bytes()

    code = main([*arguments, "--force"])

    assert code == 0
    assert directory.key.read_bytes() != before
    assert load_identity(directory).config.name == NAME


def test_failed_force_leaves_the_old_identity_whole(
    world: World, directory: DeviceDirectory
) -> None:
    arguments = world.enroll_arguments(directory.path, "--token", "t0")
    main(arguments)
    before = {path.name: path.read_bytes() for path in directory.path.iterdir()}
    world.provisioning.refuse_with = (401, {})

    code = main([*arguments, "--force"])

    assert code == 3
    after = {path.name: path.read_bytes() for path in directory.path.iterdir()}
    assert before.items() <= after.items()
    assert load_identity(directory).config.name == NAME


def _for_another_key(issuer: Ca, _key: CertificatePublicKeyTypes) -> x509.Certificate:
    return issuer.device(new_key().public_key())


def _for_another_device(issuer: Ca, key: CertificatePublicKeyTypes) -> x509.Certificate:
    return issuer.device(key, name=OTHER)


def _with_another_uri(issuer: Ca, key: CertificatePublicKeyTypes) -> x509.Certificate:
    return issuer.device(key, urn=OTHER.urn)


def _expired(issuer: Ca, key: CertificatePublicKeyTypes) -> x509.Certificate:
    return issuer.device(key, since=2 * DAY, until=-DAY)


def _for_servers(issuer: Ca, key: CertificatePublicKeyTypes) -> x509.Certificate:
    return issuer.device(key, usage=ExtendedKeyUsageOID.SERVER_AUTH)


def _by_another_ca(_issuer: Ca, key: CertificatePublicKeyTypes) -> x509.Certificate:
    return Ca("Devices issuing").device(key)


@pytest.mark.parametrize(
    "issue",
    [
        _for_another_key,
        _for_another_device,
        _with_another_uri,
        _expired,
        _for_servers,
        _by_another_ca,
    ],
)
def test_wrong_certificate_is_not_stored(
    world: World,
    directory: DeviceDirectory,
    issue: Callable[[Ca, CertificatePublicKeyTypes], x509.Certificate],
) -> None:
    world.provisioning.issue = issue

    code = main(world.enroll_arguments(directory.path, "--token", "t0"))

    assert code == 3
    assert [path.name for path in directory.path.iterdir()] == ["device-key.pem.pending"]


@pytest.mark.parametrize(
    "change",
    [
        {"device_id": "+"},
        {"device_id": DEVICE.upper()},
        {"tenant_id": "#"},
        {"certificate": "none"},
        {"chain": ""},
        {"mqtt": {"host": "a b", "port": 1, "ca_certificates": ""}},
        {"mqtt": []},
        {"padding": "x" * 300_000},
    ],
)
def test_malformed_answer_is_not_stored(
    world: World, directory: DeviceDirectory, change: dict[str, object]
) -> None:
    world.provisioning.change = change

    code = main(world.enroll_arguments(directory.path, "--token", "t0"))

    assert code == 3
    assert not directory.config.exists()


def test_certificate_of_a_version_that_is_none_is_not_stored(
    world: World, directory: DeviceDirectory
) -> None:
    der = world.provisioning.chain[0].public_bytes(Encoding.DER)
    seventh = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020107"), 1)
    world.provisioning.change = {"certificate": ssl.DER_cert_to_PEM_cert(seventh)}

    code = main(world.enroll_arguments(directory.path, "--token", "t0"))

    assert (seventh != der, code) == (True, 3)
    assert not directory.config.exists()


def test_directory_open_to_others_is_refused(world: World, directory: DeviceDirectory) -> None:
    directory.path.mkdir(mode=0o755)
    (directory.path / "something").touch()

    code = main(world.enroll_arguments(directory.path, "--token", "t0"))

    assert code == 5
    assert world.provisioning.requests == []


def test_empty_directory_is_made_private(world: World, directory: DeviceDirectory) -> None:
    directory.path.mkdir(mode=0o755)

    code = main(world.enroll_arguments(directory.path, "--token", "t0"))

    assert code == 0
    assert mode_of(directory.path) == 0o700


def test_unreachable_server_is_a_network_error(world: World, directory: DeviceDirectory) -> None:
    world.provisioning.stop()

    code = main(world.enroll_arguments(directory.path, "--token", "t0"))

    assert code == 4


def test_missing_ca_file_is_a_local_error(world: World, directory: DeviceDirectory) -> None:
    code = main(world.enroll_arguments(directory.path, "--token", "t0", "--ca", "nowhere.pem"))

    assert code == 5


def test_enrolment_cut_off_while_renaming_is_finished_later(
    world: World, directory: DeviceDirectory
) -> None:
    main(world.enroll_arguments(directory.path, "--token", "t0"))
    # As left by a power failure after the commit: some renamed, the rest still pending.
    for path in (directory.certificate, directory.broker_ca, directory.config):
        path.rename(pending(path))

    identity = load_identity(directory)

    assert identity.config.name == NAME
    assert not list(directory.path.glob("*.pending"))
