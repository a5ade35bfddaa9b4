"""The ceremony that deployment.md writes out works in that order, in folders that stand for the two machines."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from tests.parts import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = ROOT / "docs" / "operations" / "deployment.md"
BASE_URL = "http://pulse.example.com/pki"


@dataclass(frozen=True)
class Machine:
    """A place where ``pulse-ca`` runs, with nothing of the other's in its environment."""

    folder: Path
    environment: dict[str, str]

    def pulse_ca(self, *arguments: str, **more: str) -> str:
        """Run it as the documents do, and return the last line that it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "cert_worker.command", *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **self.environment, **more},  # noqa: TID251 -- to find the program
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Machine:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return Machine(folder, {"ROOT_KEY_PASSPHRASE": "r" * 44})


@pytest.fixture
def server(tmp_path: Path) -> Machine:
    """What compose's file gives the container: no database is needed for any of it."""
    folder = tmp_path / "server"
    folder.mkdir()
    environment = {
        "CA_DIRECTORY": str(folder / "ca"),
        "CA_KEY_PASSPHRASE": "p" * 44,
        "CRL_BASE_URL": BASE_URL,
    }
    return Machine(folder, environment)


def documented() -> list[str]:
    """List the sub-commands of pulse-ca in the order in which the compose ceremony has them."""
    ceremony = DOCUMENT.read_text().split("**The ceremony, compose.**")[1].split("**Keycloak.**")[0]
    block = ceremony.split("```sh")[1].split("```")[0]
    return re.findall(r"(?:pulse-ca|cert_worker\.command) ([a-z-]+)", block)


def test_ceremony_works_in_the_order_of_the_document(elsewhere: Machine, server: Machine) -> None:
    done = ["root", "request", "sign", "install", "install-list"]
    assert documented() == done

    elsewhere.pulse_ca("root", "root-ca")
    request = server.pulse_ca("request")
    shutil.copy(request, elsewhere.folder)
    name = request.rpartition("/")[2]
    chain = elsewhere.pulse_ca(
        "sign", "root-ca", name, "--profile", "device", "--base-url", BASE_URL
    )
    put = server.pulse_ca("install", str(elsewhere.folder / chain))
    listed = server.pulse_ca("install-list", str(elsewhere.folder / "root-ca" / "root.crl"))

    issuing, root = x509.load_pem_x509_certificates((server.folder / put).read_bytes())
    issuing.verify_directly_issued_by(root)
    found = x509.load_der_x509_crl((server.folder / listed).read_bytes())
    assert found.issuer == root.subject
    # The root's key stayed where it was made, and the issuing key where that was.
    keys = {path.name for path in (server.folder / "ca").glob("*.key")}
    assert keys == {f"{name.removesuffix('.csr')}.key"}
    assert [path.name for path in elsewhere.folder.rglob("*.key")] == ["root.key"]


def test_root_is_made_once_and_never_again(elsewhere: Machine) -> None:
    elsewhere.pulse_ca("root", "root-ca")

    with pytest.raises(AssertionError, match="exists already"):
        elsewhere.pulse_ca("root", "root-ca")


def test_chain_without_its_key_is_not_installed(
    elsewhere: Machine, server: Machine, tmp_path: Path
) -> None:
    elsewhere.pulse_ca("root", "root-ca")
    request = server.pulse_ca("request")
    shutil.copy(request, elsewhere.folder)
    chain = elsewhere.pulse_ca(
        "sign", "root-ca", request.rpartition("/")[2], "--base-url", BASE_URL
    )
    other = Machine(tmp_path, {**server.environment, "CA_DIRECTORY": str(tmp_path / "other")})

    with pytest.raises(AssertionError, match="is missing"):
        other.pulse_ca("install", str(elsewhere.folder / chain))
