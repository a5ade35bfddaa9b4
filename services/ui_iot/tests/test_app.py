from __future__ import annotations

import subprocess
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import httpx2
import pytest
from services.ui_iot.tests.test_settings import GOOD
from tests.parts import PASSWORD

from pulse_common.runtime import EXIT_CONFIG, Runtime
from pulse_common.settings import load
from ui_iot.app import start
from ui_iot.settings import Settings

if TYPE_CHECKING:
    from tests.parts import Nats, Postgres

pytestmark = pytest.mark.anyio


async def test_service_starts_on_real_parts_and_says_when_one_is_away(
    postgres: Postgres, nats_server: Nats
) -> None:
    settings = load(
        Settings,
        {
            **GOOD,
            "DATABASE_URL": postgres.url("svc_ui_iot"),
            "OPERATOR_DATABASE_URL": postgres.url("svc_ui_iot_operator"),
            "NATS_URL": nats_server.url,
            "NATS_USER": "test",
            "NATS_PASSWORD": PASSWORD,
        },
    )
    async with AsyncExitStack() as stack:
        runtime = Runtime(stack)
        app = await start(settings, runtime)
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="https://test") as http:
            welcome = await http.get("/", headers={"accept": "text/html"})
            ready = await http.get("/readyz")
            nats_server.kill()
            away = await http.get("/readyz")
        runtime.stopping.set()

    assert (welcome.status_code, ready.status_code) == (200, 200)
    assert (away.status_code, away.json()["failing"]) == (503, ["nats"])


def test_process_refuses_to_start_and_names_every_mistake() -> None:
    settings = {**GOOD, "OIDC_CLIENT_SECRET": "short", "SESSION_ENCRYPTION_KEY": "short"}
    del settings["PUBLIC_URL"]

    ended = subprocess.run(
        [sys.executable, "-m", "ui_iot"], env=settings, capture_output=True, text=True, check=False
    )

    assert ended.returncode == EXIT_CONFIG
    for name in ("OIDC_CLIENT_SECRET", "SESSION_ENCRYPTION_KEY", "PUBLIC_URL is required"):
        assert name in ended.stderr
    assert "short" not in ended.stderr
