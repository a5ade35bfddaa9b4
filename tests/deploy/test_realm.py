"""Keycloak's realm: nobody signs in without PKCE, nobody moves to another tenant, and no secret is in the file."""

from __future__ import annotations

import json
import re
from pathlib import Path
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
def client(realm: Document) -> Document:
    (only,) = realm["clients"]
    found: Document = only
    return found


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
    assert realm["clients"][0]["fullScopeAllowed"] is False
    (mapping,) = realm["scopeMappings"]
    assert mapping["client"] == "pulse-ui"
    assert set(mapping["roles"]) == roles


def test_nobody_registers_guesses_or_reuses(realm: Document) -> None:
    assert realm["registrationAllowed"] is False
    assert realm["bruteForceProtected"] is True
    assert (realm["revokeRefreshToken"], realm["refreshTokenMaxReuse"]) == (True, 0)
    assert realm["defaultSignatureAlgorithm"] == "RS256"
    assert realm["accessTokenLifespan"] <= 300


def test_no_secret_and_no_user_is_in_the_file(realm: Document, client: Document) -> None:
    assert client["secret"] == "${OIDC_CLIENT_SECRET}"
    assert "users" not in realm
    keys = [k for k in realm["components"] if k != "org.keycloak.userprofile.UserProfileProvider"]
    assert keys == []
    assert "privateKey" not in PATH.read_text()


def test_compose_gives_every_placeholder_that_the_realm_needs(compose: Document) -> None:
    needed = set(re.findall(r"\$\{([A-Z_]+)\}", PATH.read_text()))

    assert needed == {"PUBLIC_URL", "OIDC_CLIENT_SECRET"}
    assert needed <= compose["services"]["keycloak"]["environment"].keys()
