"""Device tokens: one way in, on one listener, under one device's names, until it is revoked or expires."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.mqtt_authz.tests.conftest import (
    ADMIN_PASSWORD,
    Broker,
    Enrol,
    Enrolled,
    Held,
    Mint,
    counted,
)
from services.mqtt_authz.tests.revocation_world import ORDER, World

from mqtt_authz.sweep import Sweep
from mqtt_authz.token_door import MOST_WRONG, WrongTokens
from pulse_common import events
from pulse_common.clock import system_clock
from pulse_common.messaging import Done

if TYPE_CHECKING:
    import psycopg

    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio


async def test_token_lets_its_device_in_with_the_device_s_list_but_for_certificates(
    broker: Broker, mint: Mint, superuser: psycopg.Connection
) -> None:
    held = mint()

    answer = await broker.ask("mqtt-auth", held.body())

    assert answer["result"] == "allow"
    assert answer["client_attrs"] == {
        "tenant": str(held.tenant),
        "device": str(held.device),
        "serial": str(held.token),
    }
    row = superuser.execute(
        "SELECT floor(extract(epoch FROM expires_at))::bigint FROM device_tokens WHERE token_id = %s",
        [held.token],
    ).fetchone()
    assert row is not None
    assert answer["expire_at"] == row[0]
    tree = f"tenant/{held.tenant}/device/{held.device}"
    topics = {rule["topic"].removeprefix(f"{tree}/") for rule in answer["acl"]}
    assert topics == {"telemetry", "state", "command/ack", "command", "limits", "#"}


async def test_session_of_a_token_may_not_ask_for_a_certificate(broker: Broker, mint: Mint) -> None:
    held = mint()
    act = {
        "clientid": str(held.device),
        "tenant": str(held.tenant),
        "action": "publish",
        "topic": f"tenant/{held.tenant}/device/{held.device}/cert/renew",
        "qos": "1",
        "retain": "false",
    }

    by_token = await broker.ask("mqtt-acl", {**act, "username": f"{held.tenant}/{held.device}"})
    by_certificate = await broker.ask("mqtt-acl", {**act, "username": str(held.device)})

    assert (by_token["result"], by_certificate["result"]) == ("deny", "allow")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE device_tokens SET revoked_at = now() WHERE token_id = %(token)s", "token_revoked"),
        (
            "UPDATE device_tokens SET expires_at = now() - interval '1 second' WHERE token_id = %(token)s",
            "token_expired",
        ),
        (
            "UPDATE devices SET tokens_allowed = false WHERE device_id = %(device)s",
            "tokens_not_allowed",
        ),
        ("UPDATE devices SET status = 'disabled' WHERE device_id = %(device)s", "device_disabled"),
        (
            "UPDATE tenants SET status = 'suspended' WHERE tenant_id = %(tenant)s",
            "tenant_suspended",
        ),
    ],
)
async def test_token_stops_counting_at_once_and_its_tenant_reads_why(
    broker: Broker, mint: Mint, superuser: psycopg.Connection, change: str, reason: str
) -> None:
    held = mint()
    assert (await broker.ask("mqtt-auth", held.body()))["result"] == "allow"

    superuser.execute(
        change.encode(), {"token": held.token, "device": held.device, "tenant": held.tenant}
    )

    assert await broker.ask("mqtt-auth", held.body()) == {"result": "deny"}
    await broker.gate.denials.flush()
    noted = superuser.execute(
        "SELECT reason, serial_number FROM broker_denials WHERE device_id = %s", [held.device]
    ).fetchall()
    assert noted == [(reason, str(held.token))]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"clientid": str(uuid4())}, "client_id_mismatch"),
        ({"username": str(uuid4())}, "username_mismatch"),
        ({"username": ""}, "username_mismatch"),
        ({"password": "pdt_" + "A" * 43}, "token_unknown"),
        ({"password": ""}, "token_unknown"),
        ({"password": "é" * 47}, "token_unknown"),
    ],
)
async def test_token_fits_one_device_s_names_alone(
    broker: Broker, mint: Mint, changes: dict[str, str], reason: str
) -> None:
    before = counted("mqtt-auth", reason)

    assert await broker.ask("mqtt-auth", mint().body(**changes)) == {"result": "deny"}
    assert counted("mqtt-auth", reason) == before + 1


def with_certificate(enrolled: Enrolled) -> dict[str, str]:
    return {"cert_pem": base64.b64encode(enrolled.der).decode()}


@pytest.mark.parametrize("zone", ["device", "devices", "service", "default", ""])
async def test_token_is_worth_nothing_on_any_other_listener(
    broker: Broker, mint: Mint, enrol: Enrol, zone: str
) -> None:
    held = mint()

    assert await broker.ask("mqtt-auth", held.body(zone=zone)) == {"result": "deny"}
    # Nor beside a certificate of another device.
    body = held.body(zone=zone, **with_certificate(enrol()))
    assert await broker.ask("mqtt-auth", body) == {"result": "deny"}


async def test_nothing_but_a_token_counts_at_the_door_for_tokens(
    broker: Broker, mint: Mint, enrol: Enrol
) -> None:
    held, enrolled = mint(), enrol()
    service = held.body(username="svc_ingest_worker", clientid="ingest-1", password=ADMIN_PASSWORD)
    names = {"clientid": str(enrolled.device), "username": str(enrolled.device), "password": ""}

    assert await broker.ask("mqtt-auth", service) == {"result": "deny"}
    # The names that a certificate would give, with it and without.
    assert await broker.ask("mqtt-auth", held.body(**names)) == {"result": "deny"}
    body = held.body(**names, **with_certificate(enrolled))
    assert await broker.ask("mqtt-auth", body) == {"result": "deny"}


async def test_guesses_from_one_address_are_not_even_looked_up_after_a_while(
    broker: Broker, mint: Mint
) -> None:
    held = mint()
    before = counted("mqtt-auth", "too_many_wrong_tokens")
    for _ in range(MOST_WRONG):
        await broker.ask("mqtt-auth", held.body(password="pdt_" + "B" * 43))

    assert await broker.ask("mqtt-auth", held.body()) == {"result": "deny"}
    assert (await broker.ask("mqtt-auth", held.body(peerhost="192.0.2.8")))["result"] == "allow"
    assert counted("mqtt-auth", "too_many_wrong_tokens") == before + 1


def test_one_network_of_ipv6_counts_as_one_address_and_a_minute_later_as_none() -> None:
    now = [0.0]
    wrong = WrongTokens(monotonic=lambda: now[0])
    for number in range(MOST_WRONG):
        wrong.note(f"2001:db8::{number:x}")

    assert wrong.too_many("2001:db8::ffff")
    assert not wrong.too_many("2001:db8:0:1::1")
    now[0] = 60.1
    assert not wrong.too_many("2001:db8::1")


def go_by_profile(sql: psycopg.Connection, held: Held, *, allowed: bool) -> None:
    """Turn the device's own switch off, and give it a profile."""
    profile = uuid4()
    sql.execute(
        "INSERT INTO device_profiles (tenant_id, profile_id, name, tokens_allowed) VALUES (%s, %s, 'P', %s)",
        [held.tenant, profile, allowed],
    )
    sql.execute(
        "UPDATE devices SET tokens_allowed = false, profile_id = %s WHERE device_id = %s",
        [profile, held.device],
    )


@pytest.mark.parametrize("result", ["allow", "deny"])
async def test_profile_may_allow_tokens_for_its_devices(
    broker: Broker, mint: Mint, superuser: psycopg.Connection, result: str
) -> None:
    held = mint()
    go_by_profile(superuser, held, allowed=result == "allow")

    assert (await broker.ask("mqtt-auth", held.body()))["result"] == result


async def test_session_of_a_token_ends_when_its_profile_allows_none_any_more(
    world: World, database: Database, mint: Mint, superuser: psycopg.Connection
) -> None:
    held = mint()
    go_by_profile(superuser, held, allowed=True)
    world.broker.held.add(held.device)
    world.broker.serials[held.device] = str(held.token)
    sweep = Sweep(
        database=database, broker=world.broker, revocation=world.worker, clock=system_clock
    )

    allowed = await sweep.cut_unwelcome()
    superuser.execute(
        "UPDATE device_profiles SET tokens_allowed = false WHERE tenant_id = %s", [held.tenant]
    )
    forbidden = await sweep.cut_unwelcome()

    assert (allowed, forbidden) == (0, 1)
    assert world.broker.held == set()
    assert world.broker.banned == {held.device}


async def test_revoked_token_means_silence_in_order_and_the_cut_is_recorded(
    world: World, mint: Mint, superuser: psycopg.Connection
) -> None:
    held = mint()
    world.broker.held.add(held.device)
    superuser.execute(
        "UPDATE device_tokens SET revoked_at = now() WHERE token_id = %s", [held.token]
    )
    event = events.DeviceTokenRevoked(
        tenant_id=held.tenant, at=system_clock(), device_id=held.device, token_id=held.token
    )

    assert await world.hear(event) == Done()
    assert world.broker.calls == ORDER
    assert world.broker.banned == {held.device}
    row = superuser.execute(
        "SELECT session_cut_at >= revoked_at FROM device_tokens WHERE token_id = %s", [held.token]
    ).fetchone()
    assert row == (True,)

    assert await world.hear(event) == Done()
    assert world.broker.calls == []  # nothing is cut twice


async def test_device_with_a_second_token_is_let_in_again_after_the_cut(
    world: World, mint: Mint, superuser: psycopg.Connection
) -> None:
    held = mint()
    superuser.execute(
        "UPDATE device_tokens SET revoked_at = now() WHERE token_id = %s", [held.token]
    )
    superuser.execute(
        "INSERT INTO device_tokens (tenant_id, token_id, device_id, token_hash, created_at, created_by, expires_at)"
        " VALUES (%s, %s, %s, %s, now(), 'alice', now() + interval '1 day')",
        [held.tenant, uuid4(), held.device, secrets.token_bytes(32)],
    )
    event = events.DeviceTokenRevoked(
        tenant_id=held.tenant, at=system_clock(), device_id=held.device, token_id=held.token
    )

    assert await world.hear(event) == Done()

    assert world.broker.banned == set()


async def test_sweep_tells_sessions_of_revoked_tokens_from_others(
    world: World, mint: Mint, database: Database, superuser: psycopg.Connection
) -> None:
    revoked, good = mint(), mint()
    for held in (revoked, good):
        world.broker.held.add(held.device)
        world.broker.serials[held.device] = str(held.token)
    superuser.execute(
        "UPDATE device_tokens SET revoked_at = now() WHERE token_id = %s", [revoked.token]
    )
    sweep = Sweep(
        database=database, broker=world.broker, revocation=world.worker, clock=system_clock
    )

    assert await sweep.cut_unwelcome() == 1
    assert world.broker.held == {good.device}
