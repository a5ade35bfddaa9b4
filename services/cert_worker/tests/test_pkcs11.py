"""A key in a PKCS#11 token (SoftHSM 2, when Debian's package is there) is as good as one in a file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "a-pin-of-the-token"
pytestmark = pytest.mark.skipif(
    not MODULE.exists() or shutil.which("softhsm2-util") is None,
    reason="SoftHSM 2 is not installed (Debian: apt-get install softhsm2)",
)

if TYPE_CHECKING:
    from subprocess import CompletedProcess


def pulse_ca(environment: dict[str, str], *arguments: str) -> CompletedProcess[str]:
    """Run the command in a process of its own: a PKCS#11 library reads its configuration once."""
    return subprocess.run(
        [sys.executable, "-m", "cert_worker.command", *arguments],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tokens").mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    environment = {
        "SOFTHSM2_CONF": str(configuration),
        "CA_DIRECTORY": str(tmp_path / "ca"),
        "CA_KEY_PASSPHRASE": "a-passphrase-of-at-least-32-characters",
        "CRL_BASE_URL": "http://pki.test/pki",
        "PKCS11_MODULE": str(MODULE),
        "PKCS11_TOKEN": "pulse",
        "PKCS11_PIN": PIN,
        "ROOT_KEY_PASSPHRASE": "the-passphrase-of-a-root-far-away!",
    }
    subprocess.run(
        [
            *("softhsm2-util", "--init-token", "--free", "--label", "pulse"),
            *("--so-pin", PIN, "--pin", PIN),
        ],
        env=environment | {"PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    return environment


def test_issuing_key_is_made_in_the_token_and_signed_by_the_root(
    environment: dict[str, str], tmp_path: Path
) -> None:
    root = str(tmp_path / "root")

    assert pulse_ca(environment, "root", root).returncode == 0
    request = pulse_ca(environment, "request").stdout.strip()
    signed = pulse_ca(environment, "sign", root, request, "--base-url", "http://pki.test/pki")
    installed = pulse_ca(environment, "install", signed.stdout.strip())

    assert installed.returncode == 0, installed.stderr
    assert Path(installed.stdout.strip()).parent == tmp_path / "ca"
    assert list((tmp_path / "ca").glob("*.key")) == []
    assert str(UUID(Path(request).stem)) == Path(request).stem


SIGN = """
import sys
from datetime import timedelta
from uuid import uuid4
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cert_worker import ceremony, crl, lint, profile
from cert_worker.settings import CaSettings
from cert_worker.signers import Place, open_signer
from pulse_common import settings
from pulse_common.clock import system_clock
from pathlib import Path
place = Place.of(settings.load(CaSettings))
chain = Path(sys.argv[1])
issuing = ceremony.read_chain(chain.name, chain.read_bytes(), crl_shards=1).issuing
signer = open_signer(place, issuing)
builder = profile.device_certificate(
    profile.DeviceName(uuid4(), uuid4()), ec.generate_private_key(ec.SECP256R1()).public_key(), issuer=issuing,
    profile=profile.DeviceProfile(base_url=place.base_url, lifetime=timedelta(days=1)), now=system_clock())
signer.sign_certificate(builder).verify_directly_issued_by(issuing.certificate)
made = crl.build(signer, issuing.certificate, [], number=1, url="http://pki.test/x.crl", now=system_clock())
crl.check(made, issuing.certificate, url="http://pki.test/x.crl")
assert lint.crl_findings(made.der) == []
print("good")
"""


def test_token_signs_certificates_and_lists_that_verify(
    environment: dict[str, str], tmp_path: Path
) -> None:
    made = pulse_ca(environment, "development", str(tmp_path / "root"))
    assert made.returncode == 0, made.stderr

    signed = subprocess.run(
        [sys.executable, "-c", SIGN, made.stdout.strip()],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert signed.stdout.strip() == "good", signed.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("PKCS11_PIN", "another-pin"), ("PKCS11_TOKEN", "none")]
)
def test_wrong_settings_are_explained_and_not_repeated(
    environment: dict[str, str], name: str, value: str
) -> None:
    refused = pulse_ca(environment | {name: value}, "request")

    assert refused.returncode == 1
    assert "PKCS11_PIN is wrong" in refused.stderr
    assert value not in refused.stderr
