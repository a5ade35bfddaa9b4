"""Keycloak's realm: nobody signs in without PKCE, nobody moves to another tenant, and no secret is in the file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Template
from typing import Any

import pytest
from tests.deploy import shipped

Document = dict[str, Any]
PATH = Path(__file__).resolve().parents[2] / "deploy" / "keycloak" / "pulse-realm.json"


@pytest.fixture
def compose() -> Document:
    return shipped.compose()


@pytest.fixture(scope="module")
def realm() -> Document:
    found: Document = json.loads(PATH.read_text())
    return found


@pytest.fixture(scope="module")
def clients(realm: Document) -> dict[str, Document]:
    return {client["clientId"]: client for client in realm["clients"]}


@pytest.fixture(scope="module")
def client(clients: dict[str, Document]) -> Document:
    return clients["pulse-ui"]


def test_the_client_is_confidential_and_must_use_pkce(client: Document) -> None:
    assert client["clientId"] == "pulse-ui"
    assert client["publicClient"] is False
    assert client["attributes"]["pkce.code.challenge.method"] == "S256"
    assert client["standardFlowEnabled"] is True
    for flow in ("implicitFlowEnabled", "directAccessGrantsEnabled", "serviceAccountsEnabled"):
        assert client[flow] is False


def test_redirects_are_exact(client: Document) -> None:
    assert client["redirectUris"] == ["${PUBLIC_URL}/auth/callback"]
    assert client["attributes"]["post.logout.redirect.uris"] == "${PUBLIC_URL}/"
    assert client["webOrigins"] == []
    assert "*" not in json.dumps(client)


def test_log_outs_reach_the_application(client: Document) -> None:
    attributes = client["attributes"]

    assert attributes["backchannel.logout.url"] == "${PUBLIC_URL}/auth/backchannel-logout"
    assert attributes["backchannel.logout.session.required"] == "true"


def test_no_client_takes_passwords_or_holds_every_role(clients: dict[str, Document]) -> None:
    for found in clients.values():
        for flow in ("implicitFlowEnabled", "directAccessGrantsEnabled", "fullScopeAllowed"):
            assert found[flow] is False, (found["clientId"], flow)
    # Keycloak adds this one, with the direct grant on, unless the file has it.
    assert clients["admin-cli"]["enabled"] is False


def test_the_team_pages_client_manages_people_and_nothing_else(
    realm: Document, clients: dict[str, Document]
) -> None:
    rights = {"manage-users", "view-users", "query-users"}

    admin = clients["pulse-ui-admin"]
    assert (admin["standardFlowEnabled"], admin["serviceAccountsEnabled"]) == (False, True)
    assert (admin["redirectUris"], admin["webOrigins"]) == ([], [])
    (account,) = realm["users"]
    assert account["serviceAccountClientId"] == "pulse-ui-admin"
    assert account["clientRoles"].keys() == {"realm-management"}
    assert set(account["clientRoles"]["realm-management"]) == rights
    ((management, (mapping,)),) = realm["clientScopeMappings"].items()
    assert (management, mapping["client"]) == ("realm-management", "pulse-ui-admin")
    assert set(mapping["roles"]) == rights


def test_a_program_is_its_tenants_whatever_it_asks_for() -> None:
    program = json.loads(
        Template(PATH.with_name("api-client.json").read_text()).substitute(
            CLIENT_NAME="acme", TENANT_ID="11111111-1111-4111-8111-111111111111"
        )
    )

    mappers = {mapper["protocolMapper"]: mapper["config"] for mapper in program["protocolMappers"]}
    tenant = mappers["oidc-hardcoded-claim-mapper"]
    assert tenant["claim.name"] == "tenant_id"
    assert tenant["claim.value"] == "11111111-1111-4111-8111-111111111111"
    assert mappers["oidc-audience-mapper"]["included.custom.audience"] == "pulse-api"
    assert program["fullScopeAllowed"] is False
    assert program["serviceAccountsEnabled"] is True
    for flow in ("standardFlowEnabled", "implicitFlowEnabled", "directAccessGrantsEnabled"):
        assert program[flow] is False
    assert "secret" not in program


def test_every_flow_that_is_bound_is_there_and_unused_roads_are_closed(realm: Document) -> None:
    flows = {flow["alias"]: flow for flow in realm["authenticationFlows"]}

    bound = {
        name: realm[name] for name in realm if name.endswith("Flow") and "Lifespan" not in name
    }
    assert set(bound.values()) <= flows.keys()
    for name in ("directGrantFlow", "registrationFlow", "resetCredentialsFlow"):
        (only,) = flows[bound[name]]["authenticationExecutions"]
        assert (only["authenticator"], only["requirement"]) == (
            "deny-access-authenticator",
            "REQUIRED",
        )


def test_a_step_up_has_a_level_of_its_own(realm: Document) -> None:
    assert json.loads(realm["attributes"]["acr.loa.map"]) == {"1": "1", "2": "2"}
    levels = {
        config["config"]["loa-condition-level"]: config["config"]["loa-max-age"]
        for config in realm["authenticatorConfig"]
        if "loa-condition-level" in config["config"]
    }
    assert levels == {"1": str(realm["ssoSessionMaxLifespan"]), "2": "300"}


def test_access_tokens_are_for_our_api_and_carry_the_tenant(client: Document) -> None:
    mappers = {mapper["protocolMapper"]: mapper["config"] for mapper in client["protocolMappers"]}

    audience = mappers["oidc-audience-mapper"]
    assert audience["included.custom.audience"] == "pulse-api"
    assert (audience["access.token.claim"], audience["id.token.claim"]) == ("true", "false")
    tenant = mappers["oidc-usermodel-attribute-mapper"]
    assert (tenant["user.attribute"], tenant["claim.name"]) == ("tenant_id", "tenant_id")
    assert tenant["access.token.claim"] == "true"
    assert tenant["multivalued"] == "false"


def test_only_an_administrator_can_set_a_users_tenant(realm: Document) -> None:
    (provider,) = realm["components"]["org.keycloak.userprofile.UserProfileProvider"]
    profile = json.loads(provider["config"]["kc.user.profile.config"][0])

    assert "unmanagedAttributePolicy" not in profile
    (tenant,) = [a for a in profile["attributes"] if a["name"] == "tenant_id"]
    assert tenant["permissions"] == {"view": ["admin"], "edit": ["admin"]}
    pattern = tenant["validations"]["pattern"]["pattern"]
    assert re.fullmatch(pattern, "11111111-1111-4111-8111-111111111111")
    assert not re.fullmatch(pattern, "11111111-1111-4111-8111-11111111111A")


def test_the_roles_are_ours_and_the_client_gets_no_other(realm: Document) -> None:
    roles = {role["name"] for role in realm["roles"]["realm"]}

    assert roles == {"customer", "tenant-admin", "operator", "operator-admin"}
    (mapping,) = realm["scopeMappings"]
    assert mapping["client"] == "pulse-ui"
    assert set(mapping["roles"]) == roles


def test_nobody_registers_guesses_or_reuses(realm: Document) -> None:
    assert realm["registrationAllowed"] is False
    assert realm["bruteForceProtected"] is True
    assert (realm["revokeRefreshToken"], realm["refreshTokenMaxReuse"]) == (True, 0)
    assert realm["defaultSignatureAlgorithm"] == "RS256"
    assert realm["accessTokenLifespan"] <= 300
    assert realm["ssoSessionIdleTimeout"] <= 1800
    assert realm["ssoSessionMaxLifespan"] <= 36000
    assert "length(12)" in realm["passwordPolicy"]
    assert (realm["eventsEnabled"], realm["adminEventsEnabled"]) == (True, True)


def test_no_secret_and_no_person_is_in_the_file(
    realm: Document, clients: dict[str, Document]
) -> None:
    assert {name: found.get("secret") for name, found in clients.items()} == {
        "pulse-ui": "${OIDC_CLIENT_SECRET}",
        "pulse-ui-admin": "${OIDC_ADMIN_CLIENT_SECRET}",
        "admin-cli": None,
    }
    assert realm["smtpServer"]["password"] == "${SMTP_PASSWORD:}"
    assert all("serviceAccountClientId" in user for user in realm["users"])
    keys = [k for k in realm["components"] if k != "org.keycloak.userprofile.UserProfileProvider"]
    assert keys == []
    assert "privateKey" not in PATH.read_text()


def test_compose_gives_every_placeholder_that_the_realm_needs(compose: Document) -> None:
    needed = set(re.findall(r"\$\{([A-Z_]+)[:}]", PATH.read_text()))

    assert {"PUBLIC_URL", "OIDC_CLIENT_SECRET", "OIDC_ADMIN_CLIENT_SECRET", "SMTP_HOST"} <= needed
    assert needed <= compose["services"]["keycloak"]["environment"].keys()
