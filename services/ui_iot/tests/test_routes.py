from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import pytest
from services.ui_iot.tests.rig import (
    HTML,
    KEY,
    NOW,
    PLENTY,
    PUBLIC_URL,
    real_directory,
    real_provider,
)
from starlette.testclient import TestClient

from pulse_common.health import Readiness
from pulse_common.http import Endpoint, Guarded, Open
from pulse_common.identity import Principal, TenantId
from pulse_common.ratelimit import Limiter
from pulse_common.ratelimit_store import BoundedMemory
from pulse_common.testing.fakes import FakeVerifier, Unreachable
from ui_iot.app import all_endpoints, create_app
from ui_iot.live import Hub
from ui_iot.notices import Notices
from ui_iot.sealing import Sealer
from ui_iot.wiring.made import Parts
from ui_iot.wiring.people import open_callers

if TYPE_CHECKING:
    import httpx2
    from starlette.requests import HTTPConnection
    from starlette.types import ASGIApp

    from pulse_common.bus import Bus
    from pulse_common.errors import Unauthenticated
    from pulse_common.jwt import JwtVerifier
    from pulse_common.tenancy import Database

ROUTE_VERBS = ("verify", "test", "pause", "resume", "secret", "replay")
FLEET_API = "/api/v2/enrolment-profiles/{enrolment_profile_id}"
IMPORT_API = "/api/v2/imports/{import_id}"
FOR_ADMINISTRATORS = {
    # Profiles, fleets and imports.
    "GET /profiles",
    "GET /profiles/{profile_id}",
    "GET /devices/{device_id}/profile",
    "GET /fleets",
    "GET /fleets/{enrolment_profile_id}",
    "GET /imports",
    "GET /imports/{import_id}",
    *(f"{method} /api/v2/device-profiles" for method in ("GET", "POST")),
    *(f"{method} /api/v2/device-profiles/{{profile_id}}" for method in ("GET", "PUT", "DELETE")),
    "PUT /api/v2/devices/{device_id}/profile",
    *(f"{method} /api/v2/enrolment-profiles" for method in ("GET", "POST")),
    *(f"{method} {FLEET_API}" for method in ("GET", "PUT", "DELETE")),
    *(f"{method} {FLEET_API}/claim-certificates" for method in ("GET", "POST")),
    "DELETE /api/v2/claim-certificates/{claim_certificate_id}",
    *(f"{method} {FLEET_API}/hardware" for method in ("GET", "POST")),
    f"POST {FLEET_API}/hardware/decisions",
    *(f"{method} /api/v2/imports" for method in ("GET", "POST")),
    f"GET {IMPORT_API}",
    f"PUT {IMPORT_API}/content",
    *(f"POST {IMPORT_API}/{act}" for act in ("start", "cancel", "tokens")),
    f"GET {IMPORT_API}/problems",
    f"GET {IMPORT_API}/problems.csv",
    # Routes, which administrators alone see.
    "GET /routes",
    "POST /routes",
    "GET /routes/new",
    "GET /routes/{route_id}",
    "POST /routes/{route_id}",
    "POST /routes/{route_id}/delete",
    *(f"POST /routes/{{route_id}}/{verb}" for verb in ROUTE_VERBS),
    "GET /api/v2/event-types",
    "GET /api/v2/routes",
    "POST /api/v2/routes",
    "GET /api/v2/routes/{route_id}",
    "PUT /api/v2/routes/{route_id}",
    "DELETE /api/v2/routes/{route_id}",
    *(f"POST /api/v2/routes/{{route_id}}/{verb}" for verb in ROUTE_VERBS),
    "GET /api/v2/routes/{route_id}/dead-letters",
    "GET /api/v2/routes/{route_id}/dead-letters/{delivery_id}",
    "GET /api/v2/deliveries",
    "GET /devices/new",
    "POST /devices",
    "GET /devices/{device_id}/enrol",
    "POST /devices/{device_id}/enrolment-tokens",
    "POST /devices/{device_id}/revoke",
    "GET /devices/{device_id}/tokens",
    "POST /devices/{device_id}/tokens",
    "POST /devices/{device_id}/tokens/permit",
    "POST /devices/{device_id}/tokens/{token_id}/revoke",
    "POST /api/v2/devices",
    "PATCH /api/v2/devices/{device_id}",
    "POST /api/v2/devices/{device_id}/revoke",
    "POST /api/v2/devices/{device_id}/commands",
    "GET /audit",
    "GET /audit/export",
    "GET /archive",
    "GET /archive/download",
    "GET /api/v2/audit",
    "GET /api/v2/audit/export",
    "GET /api/v2/archive",
    "GET /team",
    "POST /team",
    "GET /team/invite",
    "GET /team/{member_id}",
    "POST /team/{member_id}/role",
    "POST /team/{member_id}/remove",
    "POST /team/{member_id}/invitation",
    "GET /api/v2/team",
    "POST /api/v2/team",
    "GET /api/v2/team/{member_id}",
    "PATCH /api/v2/team/{member_id}",
    "DELETE /api/v2/team/{member_id}",
    "POST /api/v2/team/{member_id}/invitation",
    "GET /billing",
    "POST /billing/checkout",
    "POST /billing/portal",
    "GET /api/v2/billing",
    "GET /api/v2/billing/invoices",
    "POST /api/v2/billing/checkout",
    "POST /api/v2/billing/portal",
}
FOR_ADMINISTRATORS |= {
    "GET /access",
    "POST /access/policy",
    "POST /access/grants/{grant_id}",
    "GET /api/v2/access",
    "PUT /api/v2/access/policy",
    "POST /api/v2/access/grants/{grant_id}",
}
FOR_ADMINISTRATORS |= {
    "POST /groups",
    "POST /groups/{group_id}",
    "POST /groups/{group_id}/members",
    "POST /groups/{group_id}/delete",
    "POST /api/v2/groups",
    "PATCH /api/v2/groups/{group_id}",
    "DELETE /api/v2/groups/{group_id}",
    "POST /api/v2/groups/{group_id}/devices",
    "GET /alerts/rules/new",
    "POST /alerts/rules",
    "GET /alerts/rules/{rule_id}",
    "POST /alerts/rules/{rule_id}",
    "POST /alerts/rules/{rule_id}/delete",
    "POST /api/v2/alert-rules",
    "PUT /api/v2/alert-rules/{rule_id}",
    "DELETE /api/v2/alert-rules/{rule_id}",
}
FOR_ADMINISTRATORS |= {
    # What ends and moves.
    "POST /devices/{device_id}/rescue",
    "POST /devices/{device_id}/rescue/close",
    "POST /devices/{device_id}/transfer",
    "POST /expiring/mails",
    "GET /transfers",
    *(f"POST /transfers/{{transfer_id}}/{verb}" for verb in ("withdraw", "accept", "decline")),
    "POST /api/v2/devices/{device_id}/rescue",
    "DELETE /api/v2/devices/{device_id}/rescue",
    "POST /api/v2/devices/{device_id}/transfer",
    "GET /api/v2/transfers",
    *(
        f"POST /api/v2/transfers/{{transfer_id}}/{verb}"
        for verb in ("withdraw", "accept", "decline")
    ),
}
CONSOLE_TENANT, API_TENANT = "/operator/tenants/{tenant_id}", "/api/v2/operator/tenants/{tenant_id}"
FOR_OPERATOR_ADMINS = {
    "POST /operator/tenants",
    f"POST {CONSOLE_TENANT}",
    f"POST {CONSOLE_TENANT}/export",
    "POST /api/v2/operator/tenants",
    f"POST {API_TENANT}/suspend",
    f"POST {API_TENANT}/resume",
    f"POST {API_TENANT}/restore",
    f"POST {API_TENANT}/delete",
    f"POST {API_TENANT}/export",
    f"POST {CONSOLE_TENANT}/billing/replay",
    "POST /operator/authorities",
    "POST /api/v2/operator/rollovers",
    "POST /api/v2/operator/rollovers/{rollover_id}/step",
    "POST /api/v2/operator/rollovers/{rollover_id}/back",
    "POST /api/v2/operator/issuers/{issuer_id}/activate",
    "POST /api/v2/operator/billing/reconcile",
    "POST /api/v2/operator/billing/stripe-events/{event_id}/replay",
    "POST /api/v2/operator/billing/tenants/{tenant_id}/overrides",
}
FOR_OPERATORS = FOR_OPERATOR_ADMINS | {
    "GET /operator/reason",
    "POST /operator/reason",
    "GET /operator/tenants",
    f"GET {CONSOLE_TENANT}",
    f"GET {CONSOLE_TENANT}/telemetry",
    f"GET {CONSOLE_TENANT}/billing",
    f"POST {CONSOLE_TENANT}/grants",
    f"POST {CONSOLE_TENANT}/grants/{{grant_id}}",
    "GET /operator/requests",
    "GET /operator/devices",
    "GET /operator/health",
    "GET /operator/audit",
    "GET /operator/audit/export",
    "GET /operator/deliveries",
    "GET /operator/jobs",
    "GET /operator/authorities",
    "GET /api/v2/operator/rollovers",
    "GET /api/v2/operator/tenants",
    f"GET {API_TENANT}",
    f"GET {API_TENANT}/states",
    f"POST {API_TENANT}/grants",
    f"POST {API_TENANT}/grants/{{grant_id}}/break-glass",
    "GET /api/v2/operator/requests",
    "GET /api/v2/operator/devices",
    "GET /api/v2/operator/health",
    "GET /api/v2/operator/audit",
    "GET /api/v2/operator/audit/export",
    "GET /api/v2/operator/deliveries",
    "GET /api/v2/operator/jobs",
    "GET /api/v2/operator/billing/tenants/{tenant_id}",
}
FOR_TENANTS = FOR_ADMINISTRATORS | {
    "GET /groups",
    "GET /groups/{group_id}",
    "GET /api/v2/groups",
    "GET /api/v2/groups/{group_id}",
    "GET /api/v2/groups/{group_id}/devices",
    "GET /alerts",
    "POST /alerts/{alert_id}/acknowledge",
    "GET /api/v2/alerts",
    "GET /api/v2/alert-rules",
    "GET /api/v2/alert-rules/{rule_id}",
    "POST /api/v2/alerts/{alert_id}/acknowledge",
    "GET /devices",
    "GET /devices/{device_id}",
    "GET /api/v2/devices",
    "GET /api/v2/devices/{device_id}",
    "GET /api/v2/devices/{device_id}/profile",
    "GET /api/v2/devices/{device_id}/telemetry",
    "GET /devices/{device_id}/refusals",
    "GET /findings",
    "GET /expiring",
    "GET /api/v2/expiring",
    "GET /messages",
    "GET /devices/{device_id}/messages",
    "GET /api/v2/devices/{device_id}/readings",
    "GET /api/v2/devices/{device_id}/readings/buckets",
    "GET /api/v2/devices/{device_id}/readings/export",
    "GET /api/v2/devices/{device_id}/dead-letters",
    "GET /api/v2/devices/{device_id}/limits",
    "GET /api/v2/devices/{device_id}/commands",
    "GET /api/v2/dead-letters",
    "GET /api/v2/limits",
    "GET /api/v2/devices/{device_id}/denials",
    "POST /api/v2/devices/{device_id}/dry-run",
    "GET /api/v2/findings",
}
FOR_ANYBODY = {
    "POST /auth/logout",
    "GET /sessions",
    "GET /sessions/end-others",
    "POST /sessions/end-others",
    "POST /sessions/{session_id}/end",
    "GET /api/v2/session",
    "GET /api/v2/sessions",
    "POST /api/v2/sessions/end-others",
    "POST /api/v2/sessions/{session_id}/end",
}


def principal(role: str, tenant: TenantId | None) -> Principal:
    return Principal(subject=role, tenant=tenant, roles=frozenset({role}))


async def ignore(connection: HTTPConnection, error: Unauthenticated) -> None:
    """Record nothing: no database is there."""


VERIFIER = FakeVerifier(
    {
        "customer": principal("customer", TenantId(uuid4())),
        "tenant-admin": principal("tenant-admin", TenantId(uuid4())),
        "operator": principal("operator", None),
        "operator-admin": principal("operator-admin", None),
        "nobody": principal("uma_authorization", TenantId(uuid4())),
    }
)
BUS = cast("Bus", Unreachable())
PARTS = Parts(
    db=cast("Database", Unreachable()),
    operator_db=cast("Database", Unreachable()),
    bus=BUS,
    clock=lambda: NOW,
    verifier=cast("JwtVerifier", VERIFIER),
    provider=real_provider(cast("httpx2.AsyncClient", Unreachable())),
    directory=real_directory(cast("httpx2.AsyncClient", Unreachable()), lambda: NOW),
    sealer=Sealer([KEY]),
    hub=Hub(BUS, lambda: NOW),
    public_url=PUBLIC_URL,
    readiness=Readiness(),
    notices=Notices(BUS),
    limiter=Limiter(BoundedMemory(), address_of=lambda _: None),
    on_refused=ignore,
    rates=PLENTY,
)
ALL = all_endpoints(PARTS, open_callers(PARTS))
GUARDED = [endpoint for endpoint in ALL if isinstance(endpoint, Guarded)]


def named(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def path_of(endpoint: Endpoint) -> str:
    return re.sub(r"\{\w+\}", str(uuid4()), endpoint.path)


@pytest.fixture(scope="module")
def app() -> ASGIApp:
    """Make the app once: that takes a hundred times as long as one of these requests."""
    return create_app(PARTS)


@pytest.fixture
def client(app: ASGIApp) -> TestClient:
    return TestClient(app, PUBLIC_URL, follow_redirects=False)


def test_open_routes_are_exactly_these() -> None:
    assert {named(endpoint) for endpoint in ALL if isinstance(endpoint, Open)} == {
        "GET /",
        "GET /auth/login",
        "GET /auth/callback",
        "POST /auth/backchannel-logout",
        "GET /api/v2/openapi.json",
        "GET /api/v2/operator/openapi.json",
        "GET /unsubscribe/{link}",
        "POST /unsubscribe/{link}",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
    }


def test_guarded_routes_are_exactly_these() -> None:
    assert {named(endpoint) for endpoint in GUARDED} == FOR_TENANTS | FOR_ANYBODY | FOR_OPERATORS


@pytest.mark.parametrize("endpoint", GUARDED, ids=named)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer forged"},
        {"authorization": "Bearer"},
        {"authorization": "Basic customer"},
        {"authorization": "customer"},
        {"authorization": b"Bearer \xff\xfe"},
    ],
    ids=str,
)
def test_without_credentials_an_api_client_gets_a_problem(
    client: TestClient, endpoint: Guarded, headers: dict[str, str]
) -> None:
    response = client.request(endpoint.method, path_of(endpoint), headers=headers)

    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("endpoint", GUARDED, ids=named)
def test_without_credentials_a_person_is_led_to_the_log_in_and_back(
    client: TestClient, endpoint: Guarded
) -> None:
    path = path_of(endpoint)

    response = client.request(endpoint.method, f"{path}?a=b", headers=HTML)

    if endpoint.method == "GET":
        assert response.status_code == 303
        wanted = f"{path}?a=b".replace("/", "%2F").replace("?", "%3F").replace("=", "%3D")
        assert response.headers["location"] == f"/auth/login?next={wanted}"
    else:
        # A form cannot be repeated after the log-in.
        assert response.status_code == 401
        assert response.headers["content-type"].startswith("text/html")


def test_script_that_asks_for_a_part_of_a_page_is_told_and_not_led(client: TestClient) -> None:
    response = client.get("/devices", headers={**HTML, "hx-request": "true"})

    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"


def refused_roles() -> list[tuple[Guarded, str]]:
    refused = {
        "operator": FOR_TENANTS | FOR_OPERATOR_ADMINS,
        "operator-admin": FOR_TENANTS,
        "customer": FOR_ADMINISTRATORS | FOR_OPERATORS,
        "tenant-admin": FOR_OPERATORS,
    }
    return [
        (endpoint, role)
        for endpoint in GUARDED
        for role in ("nobody", *refused)
        if role == "nobody" or named(endpoint) in refused[role]
    ]


@pytest.mark.parametrize(
    ("endpoint", "role"), refused_roles(), ids=lambda v: v if isinstance(v, str) else named(v)
)
def test_wrong_role_is_refused_before_anything_is_read(
    client: TestClient, endpoint: Guarded, role: str
) -> None:
    response = client.request(
        endpoint.method, path_of(endpoint), headers={"authorization": f"Bearer {role}"}
    )

    assert response.status_code == 403


@pytest.mark.parametrize(
    "path", ["/devices/", "/nothing", "/static/nothing.js", "/static/../app.py"]
)
def test_what_is_not_there_is_not_found_and_never_led_elsewhere(
    client: TestClient, path: str
) -> None:
    response = client.get(path, headers=HTML)

    assert response.status_code == 404


def test_wrong_method_is_refused(client: TestClient) -> None:
    assert client.delete("/devices").status_code == 405
