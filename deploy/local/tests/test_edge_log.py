"""The edge's log: one JSON line an access, and never a secret in it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from deploy.local.tests.edge_client import http1, status_of
from deploy.local.tests.edge_process import running_edge
from deploy.local.tests.upstreams import serve_upstreams

from pulse_local.ports import find_free_base, ports_from

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = [
    "Authorization: Bearer very-secret",
    "Cookie: __Host-session=very-secret",
    "X-Pulse-Admin-Key: very-secret",
    "Stripe-Signature: t=1,v1=very-secret",
    "X-CSRF-Token: very-secret",
    "Referer: https://localhost/auth/callback?code=very-secret",
]
TARGETS = [
    "/auth/callback?code=very-secret&state=very-secret",
    "/auth/callback?x=1?code=very-secret",
    "/realms/pulse/protocol/openid-connect/auth?nonce=very-secret",
    "/api/v1/provision/enroll?token=very-secret",
    "/metrics?very-secret",
    "//auth/callback?code=very-secret",
]


def test_accesses_and_failures_are_logged_without_secrets() -> None:
    ports = ports_from(find_free_base())
    with running_edge(ports, {}) as running:
        # Nobody listens: most answers are failures, whose reasons must be in the log.
        failed = [status_of(http1(running.edge, target, lines=SECRETS)) for target in TARGETS]
        with serve_upstreams({"ui_iot": ports.ui_iot}) as seen:
            worked = status_of(http1(running.edge, TARGETS[0], lines=SECRETS))
        lines = _lines(running.log, accesses=len(TARGETS) + 1)
        text = running.log.read_text()

    assert (failed, worked) == ([502, 502, 502, 502, 404, 400], 200)
    assert "very-secret" not in text
    refused = [line["error"] for line in lines if line.get("status") == 502]
    assert len(refused) == 4
    assert all("connection refused" in reason for reason in refused)
    last = [line for line in lines if line["logger"].startswith("http.log.access")][-1]
    assert last["request"]["uri"] == "/auth/callback?"
    assert last["request"]["remote_ip"] == "127.0.0.1"
    assert (last["request"]["method"], last["status"]) == ("GET", 200)
    # The same number that the service logs.
    assert last["request_id"] == seen.requests[0].headers["x-request-id"]


def _lines(log: Path, accesses: int) -> list[dict[str, Any]]:
    """Wait until the log has that many accesses: each is written after its answer."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"]
        found = [line for line in lines if "logger" in line]
        if len([one for one in found if one["logger"].startswith("http.log.access")]) >= accesses:
            return found
        time.sleep(0.05)
    pytest.fail("the accesses were not logged")
