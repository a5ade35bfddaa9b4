"""A real Keycloak 26 with the shipped realm, on a free port, its database in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
from tests.identity.provider import ACME, ADMIN_SECRET, CLIENT_SECRET, PEOPLE, Admin, ApiClient
from tests.parts import ROOT, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

REALM_FILE = ROOT / "deploy" / "keycloak" / "pulse-realm.json"
API_CLIENT_COMMAND = ROOT / "deploy" / "keycloak" / "make_api_client.py"
# With two busy cores a start has taken more than a minute.
LONGEST_START_SECONDS = 240
LONGEST_STOP_SECONDS = 30
_ADMINISTRATOR = ("bootstrap-admin", "bootstrap-password-of-tests")


@dataclass(frozen=True, slots=True)
class Distribution:
    home: Path
    version: str


class NoKeycloak(Exception):  # noqa: N818 -- reads as the reason in the test run's last lines
    """There is no Keycloak here to test against."""


def find_distribution() -> Distribution:
    """Return KEYCLOAK_HOME's, else what `make keycloak` fetched; only a Keycloak 26 will do."""
    named = os.environ.get("KEYCLOAK_HOME")  # noqa: TID251 -- no service reads it, only this suite
    home = Path(named) if named else ROOT / ".pulse-tools" / "keycloak"
    if not (home / "bin" / "kc.sh").exists():
        raise NoKeycloak(f"{home} has none; `make keycloak` fetches it")
    if shutil.which("java") is None:
        raise NoKeycloak("it needs Java 17 or later")
    found = re.search(r"\d+\.\d+\.\d+", (home / "version.txt").read_text())
    if found is None or not found[0].startswith("26."):
        raise NoKeycloak(f"{home} is another version than 26")
    return Distribution(home, found[0])


@contextmanager
def running_keycloak(
    distribution: Distribution, folder: Path, public_url: str, smtp_port: int
) -> Iterator[str]:
    """Import the realm, start, and yield the address; the log stays in the folder."""
    home = folder / "keycloak"
    # A copy, since Keycloak writes below its home, and somebody else's home is not ours to change.
    shutil.copytree(distribution.home, home, ignore=shutil.ignore_patterns("data"))
    (home / "data" / "import").mkdir(parents=True)
    shutil.copy(REALM_FILE, home / "data" / "import")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "keycloak.log").open("wb") as log:
        process = subprocess.Popen(
            [
                # As in production, but for the database and TLS; start-dev would switch checks off.
                *("bin/kc.sh", "start", "--import-realm", "--db=dev-file", "--cache=local"),
                *("--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={port}"),
                *(f"--hostname={url}", f"--http-management-port={free_port()}"),
            ],
            cwd=home,
            env=_environment(public_url, smtp_port),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait(process, url, folder / "keycloak.log")
            yield url
        finally:
            _stop(process)


def _environment(public_url: str, smtp_port: int) -> dict[str, str]:
    name, password = _ADMINISTRATOR
    return {
        "PATH": os.environ.get("PATH", os.defpath),  # noqa: TID251 -- where Java is
        "LANG": "C.UTF-8",
        "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx768m",
        "KC_BOOTSTRAP_ADMIN_USERNAME": name,
        "KC_BOOTSTRAP_ADMIN_PASSWORD": password,
        "PUBLIC_URL": public_url,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "OIDC_ADMIN_CLIENT_SECRET": ADMIN_SECRET,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(smtp_port),
        "SMTP_FROM": "pulse@pulse.example",
        "SMTP_STARTTLS": "false",
    }


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + LONGEST_START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(f"{url}/realms/pulse").status_code == httpx2.codes.OK:
                return
        except httpx2.TransportError:
            pass  # not listening yet
        time.sleep(0.25)
    raise AssertionError(f"Keycloak did not start:\n{log.read_text()[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    # kc.sh waits for Java without passing the signal on.
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(LONGEST_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def add_people(http: httpx2.Client) -> None:
    """Make the people that the development provider has from the start, by the team page's rights."""
    admin = Admin.at(http)
    for username, role, tenant in PEOPLE:
        admin.add(username, tenant, role)


def make_api_client(url: str) -> ApiClient:
    """Run the documented command and read the secret that it prints."""
    name, password = _ADMINISTRATOR
    made = subprocess.run(
        [
            *(sys.executable, str(API_CLIENT_COMMAND), "--server", url, "--user", name),
            *("--tenant", ACME, "--name", "acme", "--role", "customer"),
        ],
        env={"KEYCLOAK_PASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert made.returncode == 0, made.stderr
    printed = dict(line.split("=", 1) for line in made.stdout.splitlines())
    return ApiClient(client_id=printed["client_id"], secret=printed["client_secret"], tenant=ACME)
