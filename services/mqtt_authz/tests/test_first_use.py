"""The CA hears, once, that a device has been let in with a renewed certificate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from services.mqtt_authz.tests.conftest import asking, body_for, make_gate

from mqtt_authz.first_use import FirstUses
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    import psycopg
    from services.mqtt_authz.tests.conftest import Enrol, Enrolled

    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio


def told(superuser: psycopg.Connection, enrolled: Enrolled) -> list[str]:
    rows = superuser.execute(
        "SELECT payload->>'fingerprint_sha256' FROM outbox"
        " WHERE tenant_id = %s AND subject = 'pulse.events.device.certificate_used'",
        [enrolled.tenant],
    ).fetchall()
    return [str(row[0]) for row in rows]


def mark(superuser: psycopg.Connection, enrolled: Enrolled, changes: str) -> None:
    superuser.execute(
        f"UPDATE certificates SET {changes} WHERE certificate_id = %s".encode(),  # noqa: S608 -- our own words
        [enrolled.certificate],
    )


async def test_renewed_certificate_is_told_of_once(
    database: Database, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    enrolled = enrol()
    mark(superuser, enrolled, "renewal = true")
    first_uses = FirstUses(database=database, clock=system_clock)
    gate = replace(make_gate(database), on_first_use=first_uses.note)

    async with asking(gate) as broker:
        for _ in range(2):
            answer = await broker.ask("mqtt-auth", body_for(enrolled))
            assert answer["result"] == "allow"
            await first_uses.flush()

    assert len(told(superuser, enrolled)) == 1


@pytest.mark.parametrize(
    "state",
    [
        "renewal = false",
        "renewal = true, first_used_at = now()",
        "renewal = true, status = 'revoked', revoked_at = now(), revocation_reason = 'keyCompromise'",
    ],
)
async def test_other_certificates_are_not_told_of(
    database: Database, enrol: Enrol, superuser: psycopg.Connection, state: str
) -> None:
    enrolled = enrol()
    mark(superuser, enrolled, state)
    first_uses = FirstUses(database=database, clock=system_clock)
    gate = replace(make_gate(database), on_first_use=first_uses.note)

    async with asking(gate) as broker:
        await broker.ask("mqtt-auth", body_for(enrolled))
    await first_uses.flush()

    assert told(superuser, enrolled) == []
