"""The development identity provider as the embedded stack runs it: a process, told everything by its environment."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.identity.provider import ACME, ADMIN_SECRET, CLIENT_SECRET, PASSWORD, ApiClient
from tests.parts import free_port, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

API_SECRET = "api-client-secret-of-acme-in-tests"


@contextmanager
def running_development(folder: Path, public_url: str, smtp_port: int) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "pulse_local.idp"],
        env={
            "PULSE_ENV": "development",
            "IDP_PORT": str(port),
            "IDP_ISSUER": f"{url}/realms/pulse",
            "IDP_DATA_DIR": str(folder / "idp"),
            "IDP_CLIENT_SECRET": CLIENT_SECRET,
            "IDP_ADMIN_CLIENT_SECRET": ADMIN_SECRET,
            "IDP_API_CLIENT_SECRET": API_SECRET,
            "IDP_REDIRECT_URI": f"{public_url}/auth/callback",
            "IDP_POST_LOGOUT_URI": f"{public_url}/",
            "IDP_BACKCHANNEL_LOGOUT_URI": f"{public_url}/auth/backchannel-logout",
            "IDP_SMTP_PORT": str(smtp_port),
            "IDP_DEMO_PASSWORD": PASSWORD,
        },
    )
    try:
        wait_for_port(port, 30)
        yield url
    finally:
        process.terminate()
        process.wait()


def api_client() -> ApiClient:
    """Give the one that it has from the start."""
    return ApiClient(client_id="pulse-api-acme", secret=API_SECRET, tenant=ACME)
