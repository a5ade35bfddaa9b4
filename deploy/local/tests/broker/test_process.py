"""The broker as a process: it starts from its environment and stops when it is told."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from pulse_local.broker.testing.rig import Rig

COMMAND = [sys.executable, "-m", "pulse_local.broker"]


def environment(rig: Rig, ports: tuple[int, int, int, int]) -> dict[str, str]:
    settings = rig.settings
    # A child process needs this one's environment; nothing here is configured from it.
    return dict(os.environ) | {  # noqa: TID251 - see above
        "PULSE_ENV": "development",
        "BROKER_TLS_PORT": str(ports[0]),
        "BROKER_TOKEN_PORT": str(ports[3]),
        "BROKER_PLAIN_PORT": str(ports[1]),
        "BROKER_API_PORT": str(ports[2]),
        "BROKER_CERT_FILE": str(settings.cert_file),
        "BROKER_KEY_FILE": str(settings.key_file),
        "BROKER_CLIENT_CA_FILE": str(settings.client_ca_file),
        "BROKER_AUTH_URL": settings.auth_url,
        "BROKER_ACL_URL": settings.acl_url,
        "BROKER_DENIED_URL": settings.denied_url,
        "BROKER_AUTH_SECRET": settings.auth_secret,
        "BROKER_API_KEY": settings.api_key,
        "BROKER_API_SECRET": settings.api_secret,
    }


def wait_until_healthy(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            answer = httpx2.get(f"http://127.0.0.1:{port}/api/v5/status", trust_env=False)
        except httpx2.ConnectError:
            time.sleep(0.05)
            continue
        if answer.status_code == 200:
            return
    raise AssertionError("the broker did not become healthy")


def test_it_starts_and_stops_cleanly(rig: Rig, four_ports: tuple[int, int, int, int]) -> None:
    with subprocess.Popen(
        COMMAND, env=environment(rig, four_ports), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        wait_until_healthy(four_ports[2])

        process.terminate()
        output, errors = process.communicate(timeout=10)

    assert process.returncode == 0
    assert b"broker_ready" in output
    assert b"broker_stopped" in output
    assert b"Traceback" not in errors


def test_it_refuses_production(rig: Rig, four_ports: tuple[int, int, int, int]) -> None:
    found = subprocess.run(
        COMMAND,
        env=environment(rig, four_ports) | {"PULSE_ENV": "production"},
        capture_output=True,
        check=False,
    )

    assert found.returncode == 2
    assert b"PULSE_ENV must be development" in found.stderr
