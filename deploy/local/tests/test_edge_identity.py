"""The way to Keycloak: our realm and nothing else of it, and its administration for chosen networks only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from deploy.local.tests.edge_client import http1, http2_status, status_of
from deploy.local.tests.edge_process import running_edge
from deploy.local.tests.upstreams import serve_upstreams

from pulse_local.ports import find_free_base, ports_from

if TYPE_CHECKING:
    from deploy.local.tests.edge_client import Edge
    from deploy.local.tests.upstreams import Seens

OTHER_REALMS = [
    "/realms",
    "/realms/",
    "/realms/master",
    "/realms/master/protocol/openid-connect/token",
    "/realms/Master/account",
    "/REALMS/master",
    "/REALMS/pulse",
    "/realms/PULSE",
    "/realms/pulse2",
    "/realms/pulse%20/account",
    "/realms/pulse./account",
    "/realms/pulse/../master",
    "/realms/pulse/%2e%2e/master",
    "/realms/pulse/..;/master",
    "/realms/pulse%2f..%2fmaster",
    "/realms/pulse%5c..%5cmaster",
    "/realms/pulse/%252e%252e/master",
    "/realms//master",
    "/realms/%6daster",
    "/resources",
    "/resources/../realms/master",
    "/realms/pulse/clients-registrations/openid-connect",
    "/realms/pulse/Clients-Registrations/default",
    "/realms/pulse/clients%2dregistrations/default",
]
ADMINISTRATION = [
    "/admin",
    "/admin/",
    "/admin/master/console/",
    "/admin/realms/pulse/users",
    "/Admin/realms",
    "/ADMIN/realms",
    "/%61dmin/realms",
    "//admin/realms",
    "/admin//realms",
    "/admin%2frealms",
    "/admin%5crealms",
    "/admin;x/realms",
    "/admin%20/realms",
    "/admin./realms",
    "/admin%09/realms",
    "/admin%00/realms",
    "/%2561dmin/realms",
    "/./admin/realms",
    "/x/../admin/realms",
    "/realms/pulse/../../admin/realms",
    "/realms/pulse/..%2f..%2fadmin/realms",
    "/resources/..;/admin/realms",
    "/resources/%2e%2e/admin/realms",
    "/resources/%c0%ae%c0%ae/admin/realms",
    "https://localhost/admin/realms",
    "http://keycloak:8080/admin/realms",
]


@pytest.mark.parametrize("target", [*OTHER_REALMS, *ADMINISTRATION])
def test_rest_of_keycloak_is_not_there(edge: Edge, seen: Seens, target: str) -> None:
    assert status_of(http1(edge, target)) in {400, 404, 421}
    if target.startswith("/"):
        assert http2_status(edge, target) in {0, 400, 404}
    assert seen.names() == []


@pytest.mark.parametrize("target", ["/admin%2e", "/a%64min%2f..", "/%ef%bc%8fadmin/realms"])
def test_spelling_that_only_a_careless_service_would_read_never_reaches_keycloak(
    edge: Edge, seen: Seens, target: str
) -> None:
    http1(edge, target)

    assert "idp" not in seen.names()


def test_administration_is_there_for_its_networks_and_still_not_the_master_realm() -> None:
    ports = ports_from(find_free_base())
    networks = {"EDGE_ADMIN_NETWORKS": "192.0.2.0/24 127.0.0.1/32"}

    with running_edge(ports, networks) as running, serve_upstreams({"idp": ports.idp}) as seen:
        statuses = [
            status_of(http1(running.edge, target))
            for target in ("/admin/pulse/console/", "/Admin/pulse", "/realms/master")
        ]
        spoofed = http1(running.edge, "/realms/master", lines=["X-Forwarded-For: 192.0.2.1"])

    assert statuses == [200, 404, 404]
    assert status_of(spoofed) == 404
    assert [one.target for one in seen.requests] == ["/admin/pulse/console/"]


def test_networks_are_compared_with_the_peer_and_not_with_what_it_says() -> None:
    ports = ports_from(find_free_base())

    with running_edge(ports, {"EDGE_ADMIN_NETWORKS": "192.0.2.0/24"}) as running:
        for header in ("X-Forwarded-For", "X-Real-IP", "True-Client-IP"):
            answer = http1(running.edge, "/admin/x", lines=[f"{header}: 192.0.2.1"])
            assert status_of(answer) == 404
