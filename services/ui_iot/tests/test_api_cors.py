from __future__ import annotations

import dataclasses

import pytest
from services.ui_iot.tests.test_routes import PARTS
from starlette.testclient import TestClient

from pulse_common.cors import CorsSettings
from ui_iot.app import create_app

ORIGIN = "https://app.acme.example"
ALLOWED = CorsSettings(
    cors_allowed_origins=(ORIGIN,), cors_allowed_headers=("authorization", "content-type")
)
LISTED = TestClient(create_app(dataclasses.replace(PARTS, cors=ALLOWED)), "https://pulse.example")
NONE = TestClient(create_app(PARTS), "https://pulse.example")
ASKS = {"origin": ORIGIN, "access-control-request-method": "GET"}


def test_listed_origin_may_read_the_api() -> None:
    answer = LISTED.get("/api/v2/devices", headers={"origin": ORIGIN})

    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert LISTED.options("/api/v2/devices", headers=ASKS).status_code == 204


@pytest.mark.parametrize(
    "path", ["/", "/devices", "/api/v2/session", "/api/v2/devicesx", "/auth/login"]
)
def test_listed_origin_may_read_nothing_else(path: str) -> None:
    answer = LISTED.get(path, headers={"origin": ORIGIN}, follow_redirects=False)

    assert "access-control-allow-origin" not in answer.headers


def test_no_origin_is_listed_unless_a_setting_does() -> None:
    answer = NONE.get("/api/v2/devices", headers={"origin": ORIGIN})

    assert "access-control-allow-origin" not in answer.headers
    assert NONE.options("/api/v2/devices", headers=ASKS).status_code == 405
