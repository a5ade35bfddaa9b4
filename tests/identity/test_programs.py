"""A tenant's program gets a token by its own secret, and with it the API of its own tenant alone."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import httpx2
import pytest
from services.ui_iot.tests.rig import open_rig
from tests.identity.provider import ACME, GLOBEX

from pulse_common.clients import DEFAULT_CLIENTS, exactly
from pulse_common.jwt import Jwks, JwtVerifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from services.ui_iot.tests.rig import Rig
    from tests.identity.provider import Provider
    from tests.parts import Nats, Postgres

    from pulse_common.clients import AllowedClients

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(
    provider: Provider,
    postgres: Postgres,
    nats: Nats,
    superuser: psycopg.Connection,
    clients: AllowedClients = DEFAULT_CLIENTS,
) -> AsyncIterator[Rig]:
    """Open ui_iot as it is set up by default, with this provider's keys, and both tenants."""
    for tenant, name in ((ACME, "Acme"), (GLOBEX, "Globex")):
        superuser.execute(
            "INSERT INTO tenants (tenant_id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [tenant, name],
        )
    async with httpx2.AsyncClient() as http:
        jwks = Jwks(oidc_internal_url=provider.issuer, http=http)
        verifier = JwtVerifier(issuer=provider.issuer, audience="pulse-api", azp=clients, jwks=jwks)
        async with open_rig(postgres, nats, superuser, verifier=verifier) as rig:
            yield rig
        await jwks.close()


def token_of(provider: Provider, **more: str) -> str:
    client = provider.api_client
    form = {"grant_type": "client_credentials", **more}
    answer = provider.token(form, (client.client_id, client.secret))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def test_a_program_reads_its_own_tenants_devices_and_no_others(
    provider: Provider, postgres: Postgres, nats_server: Nats, superuser: psycopg.Connection
) -> None:
    async with serving(provider, postgres, nats_server, superuser) as rig:
        own = rig.device(UUID(ACME), "Lamp of Acme")
        foreign = rig.device(UUID(GLOBEX), "Toaster of Globex")
        program = rig.browser(authorization=f"Bearer {token_of(provider)}")

        listed = await program.get("/api/v2/devices")
        found = await program.get(f"/api/v2/devices/{own}")
        hidden = await program.get(f"/api/v2/devices/{foreign}")

        assert (listed.status_code, found.status_code, hidden.status_code) == (200, 200, 404)
        assert str(own) in listed.text
        assert str(foreign) not in listed.text


@pytest.mark.parametrize(
    "asked",
    [
        {"tenant_id": GLOBEX},
        {"scope": "openid profile tenant_id"},
        {"claims": f'{{"access_token": {{"tenant_id": {{"value": "{GLOBEX}"}}}}}}'},
    ],
)
async def test_a_program_cannot_ask_for_another_tenant(
    provider: Provider,
    postgres: Postgres,
    nats_server: Nats,
    superuser: psycopg.Connection,
    asked: dict[str, str],
) -> None:
    client = provider.api_client
    form = {"grant_type": "client_credentials", **asked}
    answer = provider.token(form, (client.client_id, client.secret))
    if answer.status_code != 200:
        assert answer.json()["error"] in {"invalid_scope", "invalid_request"}
        return

    async with serving(provider, postgres, nats_server, superuser) as rig:
        foreign = rig.device(UUID(GLOBEX), "Toaster of Globex")
        program = rig.browser(authorization=f"Bearer {answer.json()['access_token']}")

        assert (await program.get("/api/v2/devices")).status_code == 200
        assert (await program.get(f"/api/v2/devices/{foreign}")).status_code == 404


async def test_a_program_may_do_what_its_role_allows_and_nothing_that_needs_a_person(
    provider: Provider, postgres: Postgres, nats_server: Nats, superuser: psycopg.Connection
) -> None:
    async with serving(provider, postgres, nats_server, superuser) as rig:
        program = rig.browser(authorization=f"Bearer {token_of(provider)}")

        made = await program.post("/api/v2/devices", json={"name": "Lamp"})
        stepped_up = await program.post("/api/v2/sessions/end-others")

        # It is a customer's; and no log-in stands behind its token, so none is recent.
        assert made.status_code == 403
        assert stepped_up.json()["type"] == "urn:pulse:problem:step_up_required"


async def test_programs_are_refused_where_a_setting_names_people_alone(
    provider: Provider, postgres: Postgres, nats_server: Nats, superuser: psycopg.Connection
) -> None:
    people = exactly(["pulse-ui"])
    async with serving(provider, postgres, nats_server, superuser, people) as rig:
        program = rig.browser(authorization=f"Bearer {token_of(provider)}")

        assert (await program.get("/api/v2/devices")).status_code == 401
