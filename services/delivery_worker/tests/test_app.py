"""The service starts for real, says what is wrong with its settings, and drains when it is told to stop."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.parts import PASSWORD, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts import Nats, Postgres


def run(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "delivery_worker"],
        env={"PATH": os.defpath, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def environment(postgres: Postgres, nats_server: Nats) -> dict[str, str]:
    return environment_of(postgres, nats_server)


def environment_of(postgres: Postgres, nats_server: Nats) -> dict[str, str]:
    return {
        "PULSE_ENV": "development",
        "HTTP_PORT": str(free_port()),
        "DATABASE_URL": postgres.url("svc_delivery_worker"),
        "NATS_URL": nats_server.url,
        "NATS_USER": "test",
        "NATS_PASSWORD": PASSWORD,
        "DELIVERY_SECRET_KEY": base64.b64encode(b"k" * 32).decode(),
    }


@pytest.fixture
def service(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = run(environment)
    yield process
    process.kill()
    process.communicate()


def answer(port: str, path: str, seconds: float = 15) -> httpx2.Response:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}{path}")
        except httpx2.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_service_refuses_to_start_and_lists_every_mistake() -> None:
    process = run({"NATS_PASSWORD": "short", "HTTP_PORT": "x"})
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 78
    for name in (
        "PULSE_ENV is required",
        "DATABASE_URL is required",
        "NATS_URL is required",
        "DELIVERY_SECRET_KEY is required",
    ):
        assert name in errors
    for name in ("NATS_PASSWORD:", "HTTP_PORT:"):
        assert name in errors
    assert "short" not in errors.replace("too_short", "")


def test_service_refuses_a_database_that_would_not_keep_tenants_apart(
    environment: dict[str, str], postgres: Postgres
) -> None:
    process = run({**environment, "DATABASE_URL": postgres.superuser})
    output, errors = process.communicate(timeout=20)

    assert process.returncode != 0
    assert "is a superuser" in output + errors


def test_service_is_ready_measured_and_drains(
    service: subprocess.Popen[str], environment: dict[str, str]
) -> None:
    port = environment["HTTP_PORT"]

    assert answer(port, "/healthz").text == "ok"
    assert answer(port, "/readyz").json() == {"status": "ready"}
    assert "pulse_http_requests_total" in answer(port, "/metrics").text

    service.send_signal(signal.SIGTERM)
    assert service.wait(15) == 0


def test_service_without_its_bus_is_alive_but_not_ready(
    service: subprocess.Popen[str], environment: dict[str, str], nats_server: Nats
) -> None:
    port = environment["HTTP_PORT"]
    assert answer(port, "/readyz").status_code == 200
    nats_server.kill()

    response = answer(port, "/readyz")

    assert (response.status_code, response.json()["failing"]) == (503, ["nats"])
    assert answer(port, "/healthz").status_code == 200
