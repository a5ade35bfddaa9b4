from __future__ import annotations

from starlette.testclient import TestClient

from ingest_worker.app import create_app
from ingest_worker.routes import endpoints
from pulse_common.errors import Unavailable
from pulse_common.health import Readiness
from pulse_common.http import Open


def test_open_routes_are_exactly_the_probes() -> None:
    found = endpoints(Readiness())

    assert [e.path for e in found if isinstance(e, Open)] == ["/healthz", "/readyz", "/metrics"]
    assert all(isinstance(e, Open) for e in found)


def test_not_ready_while_the_broker_is_away() -> None:
    async def away() -> None:
        raise Unavailable("the broker is away")

    readiness = Readiness()
    readiness.add("mqtt", away)

    response = TestClient(create_app(readiness)).get("/readyz")

    assert response.status_code == 503
    assert response.json()["failing"] == ["mqtt"]


def test_counters_can_be_scraped() -> None:
    response = TestClient(create_app(Readiness())).get("/metrics")

    for name in ("received_total", "in_flight", "received_to_stored_seconds", "stored_total"):
        assert f"pulse_ingest_{name}" in response.text
