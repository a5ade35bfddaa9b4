from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from services.ui_iot.tests.test_routes import ALL, PARTS
from starlette.testclient import TestClient

from pulse_common.http import Guarded
from ui_iot.app import create_app

if TYPE_CHECKING:
    from pulse_common.http import Endpoint

API = [endpoint for endpoint in ALL if endpoint.path.startswith("/api/v2/")]


TENANTS, OPERATORS = "/api/v2/openapi.json", "/api/v2/operator/openapi.json"


@pytest.fixture(scope="module", params=[TENANTS, OPERATORS])
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(request.param)


def read(path: str) -> dict[str, Any]:
    answer = TestClient(create_app(PARTS), "https://pulse.example").get(path)
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def test_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(document).validate()


def test_documents_and_routes_name_the_same_operations() -> None:
    described = {
        (method.upper(), path)
        for document in (read(TENANTS), read(OPERATORS))
        for path, item in document["paths"].items()
        for method in item
    }

    served = {(endpoint.method, endpoint.path) for endpoint in API if isinstance(endpoint, Guarded)}

    assert described == served
    assert {e.path for e in API if not isinstance(e, Guarded)} == {TENANTS, OPERATORS}


@pytest.mark.parametrize("endpoint", API, ids=lambda e: f"{e.method} {e.path}")
def test_every_operation_says_who_may_call_it_and_what_it_refuses(
    document: dict[str, Any], endpoint: Endpoint
) -> None:
    if not isinstance(endpoint, Guarded) or endpoint.path not in document["paths"]:
        return
    described = document["paths"][endpoint.path][endpoint.method.lower()]

    assert described["security"][0] == {"bearer": []}
    assert ("csrf" in described["security"][1]) == (endpoint.method != "GET")
    assert {"400", "401", "403", "503"} <= described["responses"].keys()
    for role in endpoint.roles:
        assert role in described["description"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(value: object) -> list[str]:
        if isinstance(value, list):
            return [found for item in value for found in references(item)]
        if not isinstance(value, dict):
            return []
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in references(item)]

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    assert set(references(document)) <= known


def test_bodies_refuse_what_the_document_does_not_name(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert all(schemas[name]["additionalProperties"] is False for name in schemas if "Body" in name)
