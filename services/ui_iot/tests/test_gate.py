"""Why a device was refused, how it would be decided, and what is wrong in the fleet: for its own tenant alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from pulse_common import events
from pulse_common.errors import Unavailable
from ui_iot.findings import CHECKS

if TYPE_CHECKING:
    from services.ui_iot.tests.neighbours import Neighbours
    from services.ui_iot.tests.rig import Browser, Rig

pytestmark = pytest.mark.anyio
SCRIPT = "<script>alert(1)</script>"


def refuse(rig: Rig, tenant: UUID, device: UUID, **values: Any) -> None:  # noqa: ANN401 -- the row's own
    row = {
        "at": rig.now,
        "action": "publish",
        "reason": "topic_not_allowed",
        "topic": "x",
        "times": 1,
    } | values
    rig.superuser.execute(
        "INSERT INTO broker_denials (tenant_id, denial_id, device_id, at, action, reason, rule, topic, times)"
        " VALUES (%s, %s, %s, %s, %s, %s, 'deny all #', %s, %s)",
        [
            *(tenant, uuid4(), device, row["at"]),
            *(row["action"], row["reason"], row["topic"], row["times"]),
        ],
    )


async def test_refusals_are_listed_newest_first_by_api_and_on_the_page(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    device = rig.device(acme)
    refuse(rig, acme, device, topic="older", at=rig.now - timedelta(minutes=1))
    refuse(rig, acme, device, topic=SCRIPT, times=7)

    answer = await alice.get(f"/api/v2/devices/{device}/denials")
    page = await alice.page(f"/devices/{device}/refusals")

    denials = answer.json()["denials"]
    assert [one["topic"] for one in denials] == [SCRIPT, "older"]
    assert denials[0]["times"] == 7
    assert denials[0]["rule"] == "deny all #"
    assert "topic" in denials[0]["text"]
    assert page.status_code == 200
    assert page.text.count('data-testid="denial"') == 2
    assert "<script>alert" not in page.text
    assert "7 times" in page.text


async def test_refusals_of_another_tenants_device_do_not_exist(rig: Rig, alice: Browser) -> None:
    other = rig.tenant("Globex")
    device = rig.device(other)
    refuse(rig, other, device)

    for path in (
        f"/api/v2/devices/{device}/denials",
        f"/devices/{device}/refusals",
        "/devices/x/refusals",
    ):
        assert (await alice.page(path)).status_code == 404
    assert (await alice.get("/api/v2/findings")).json()["findings"] == []


async def test_dry_run_asks_the_gate_as_the_callers_tenant(
    rig: Rig, acme: UUID, neighbours: Neighbours
) -> None:
    device = rig.device(acme)
    body = {"action": "publish", "topic": "a/telemetry", "qos": 1, "at": "2026-01-01T00:00:00Z"}

    async with rig.browser(**rig.bearer(acme, "customer")) as script:
        answer = await script.post(f"/api/v2/devices/{device}/dry-run", json=body)

    assert answer.status_code == 200
    assert (answer.json()["allowed"], answer.json()["rule"]) == (True, "allow publish x")
    (asked,) = neighbours.asked
    assert isinstance(asked, events.DryRunRequest)
    assert (asked.tenant_id, asked.device_id, asked.qos) == (acme, device, 1)
    assert asked.at is not None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "delete"},
        {"action": "publish", "qos": 3},
        {"action": "publish", "topic": "x" * 1001},
        {"action": "publish", "at": "yesterday"},
        {"action": "publish", "at": "2026-01-01T00:00:00"},
        {"action": "publish", "more": 1},
    ],
)
async def test_dry_run_of_nonsense_is_refused_without_asking(
    rig: Rig, acme: UUID, neighbours: Neighbours, body: dict[str, object]
) -> None:
    device = rig.device(acme)

    async with rig.browser(**rig.bearer(acme)) as script:
        answer = await script.post(f"/api/v2/devices/{device}/dry-run", json=body)

    assert answer.status_code == 400
    assert neighbours.asked == []


async def test_dry_run_of_another_tenants_device_is_not_asked(
    rig: Rig, acme: UUID, neighbours: Neighbours
) -> None:
    device = rig.device(rig.tenant("Globex"))

    async with rig.browser(**rig.bearer(acme)) as script:
        answer = await script.post(f"/api/v2/devices/{device}/dry-run", json={"action": "connect"})

    assert answer.status_code == 404
    assert neighbours.asked == []


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("action=publish&topic=a%2Ftelemetry", "Allowed"),
        ("action=publish&topic=elsewhere&retain=on&qos=2", "Refused"),
        ("action=steal", "Choose an action"),
        ("action=publish&qos=9", "Choose an action"),
        ("action=publish&topic=%00", "cannot hold"),
    ],
)
async def test_page_shows_the_verdict(
    rig: Rig, acme: UUID, alice: Browser, neighbours: Neighbours, query: str, says: str
) -> None:
    page = await alice.page(f"/devices/{rig.device(acme)}/refusals?{query}")

    assert page.status_code == 200
    assert says in page.text


async def test_page_says_that_the_gate_is_away(
    rig: Rig, acme: UUID, alice: Browser, neighbours: Neighbours
) -> None:
    neighbours.refusal = Unavailable("away")

    page = await alice.page(f"/devices/{rig.device(acme)}/refusals?action=connect")

    assert "did not answer" in page.text


def hold(rig: Rig, tenant: UUID, device: UUID, **values: Any) -> None:  # noqa: ANN401 -- the row's own
    """Give a device a certificate row; ``fault`` is what the CA found of its key."""
    row: dict[str, Any] = {
        "key": uuid4().bytes * 2,
        "days": 60,
        "age": timedelta(0),
        "revoked_at": None,
        "cut_at": None,
        "fault": None,
        "key_checked": True,
        "serial": uuid4().hex,
    } | values
    issuer = rig.superuser.execute("SELECT issuer_id FROM issuers LIMIT 1").fetchone()
    if issuer is None:
        issuer = (uuid4(),)
        rig.superuser.execute(
            "INSERT INTO issuers (issuer_id, kind, profile, subject, certificate_der, fingerprint_sha256, not_before,"
            " not_after) VALUES (%s, 'issuing', 'device', 'CA', '', sha256('ca'), now(), now())",
            issuer,
        )
    rig.superuser.execute(
        "INSERT INTO certificates (tenant_id, certificate_id, device_id, issuer_id, serial_number, fingerprint_sha256,"
        " public_key_sha256, certificate_der, not_before, not_after, created_at, status, revoked_at, revocation_reason,"
        " session_cut_at, key_checked_at, key_fault)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, '', %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            *(tenant, uuid4(), device, issuer[0], row["serial"], uuid4().bytes * 2, row["key"]),
            *(rig.now, rig.now + timedelta(days=row["days"]), rig.now - row["age"]),
            *("revoked" if row["revoked_at"] else "valid", row["revoked_at"]),
            *("superseded" if row["revoked_at"] else None, row["cut_at"]),
            *(rig.now if row["key_checked"] else None, row["fault"]),
        ],
    )


def hold_token(rig: Rig, tenant: UUID, device: UUID, revoked_at: datetime | None = None) -> None:
    token = uuid4()
    rig.superuser.execute(
        "INSERT INTO device_tokens (tenant_id, token_id, device_id, token_hash, created_at, created_by, expires_at,"
        " revoked_at) VALUES (%s, %s, %s, sha256(%s), %s, 'alice', %s, %s)",
        [
            *(tenant, token, device, token.bytes, rig.now),
            *(rig.now + timedelta(days=1), revoked_at),
        ],
    )


def conflict(
    rig: Rig, tenant: UUID, device: UUID, serial: str, *addresses: str, times: int
) -> None:
    rig.superuser.execute(
        "INSERT INTO session_conflicts (tenant_id, device_id, serial_number, address, other_address, first_at, last_at,"
        " times) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [tenant, device, serial, *addresses, rig.now, rig.now, times],
    )


def hear(rig: Rig, tenant: UUID, device: UUID) -> None:
    rig.superuser.execute(
        "INSERT INTO device_last_state (tenant_id, device_id, last_seen_at, ts, metrics) VALUES (%s, %s, %s, %s, '{}')",
        [tenant, device, rig.now, rig.now],
    )


async def found(browser: Browser) -> dict[str, set[str]]:
    listed: dict[str, set[str]] = {}
    for one in (await browser.get("/api/v2/findings")).json()["findings"]:
        listed.setdefault(one["check"], set()).add(one["device_name"])
    return listed


async def test_every_check_finds_its_fault_and_nothing_else(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    devices = {
        name: rig.device(acme, name)
        for name in (
            *(
                "twin-1",
                "twin-2",
                "over",
                "soon",
                "silent",
                "stray",
                "uncut",
                "cut",
                "noisy",
                "frail",
            ),
            *("cloned", "was-cloned", "falls", "both-ways", "allowed", "token-uncut"),
        )
    }
    hold(rig, acme, devices["twin-1"], key=b"k" * 32)
    hold(rig, acme, devices["twin-2"], key=b"k" * 32)
    hold(rig, acme, devices["over"], days=-1)
    hold(rig, acme, devices["soon"], days=10)
    hold(rig, acme, devices["silent"], age=timedelta(days=2))
    hour = rig.now - timedelta(hours=1)
    hold(rig, acme, devices["stray"], revoked_at=hour, cut_at=hour)
    hear(rig, acme, devices["stray"])
    hold(rig, acme, devices["uncut"], revoked_at=hour)
    hold(rig, acme, devices["cut"], revoked_at=hour, cut_at=hour)
    hold(rig, acme, devices["frail"], fault="an RSA key of 1024 bits is not accepted")
    hold(rig, acme, devices["cloned"], serial="c1")
    conflict(rig, acme, devices["cloned"], "c1", "192.0.2.1", "198.51.100.2", times=1)
    hold(rig, acme, devices["was-cloned"], serial="c2", revoked_at=hour, cut_at=hour)
    conflict(rig, acme, devices["was-cloned"], "c2", "192.0.2.1", "198.51.100.2", times=9)
    hold(rig, acme, devices["falls"], serial="c3")
    conflict(rig, acme, devices["falls"], "c3", "192.0.2.1", "192.0.2.1", times=2)
    hold(rig, acme, devices["both-ways"])
    hold_token(rig, acme, devices["both-ways"])
    rig.superuser.execute(
        "UPDATE devices SET tokens_allowed = true WHERE device_id = ANY(%s)",
        [[devices["both-ways"], devices["allowed"]]],
    )
    hold_token(rig, acme, devices["token-uncut"], revoked_at=hour)
    refuse(rig, acme, devices["noisy"], times=99)
    refuse(rig, acme, devices["noisy"], reason="client_id_mismatch", action="connect")

    listed = await found(alice)
    page = await alice.page("/findings")

    assert listed == {
        "weak_key": {"frail"},
        "in_two_places": {"cloned"},
        "two_ways_in": {"both-ways"},
        "unused_permission": {"allowed"},
        "shared_key": {"twin-1", "twin-2"},
        "expired": {"over"},
        "expiring": {"soon"},
        "never_connected": {"silent"},
        "revoked_but_connected": {"stray", "uncut", "token-uncut"},
        "conflicting_client_ids": {"noisy"},
        "often_refused": {"noisy"},
    }
    assert set(listed) == set(CHECKS)
    assert "192.0.2.1 and 198.51.100.2" in page.text
    assert page.text.index("revoked_but_connected") < page.text.index("never_connected")


@pytest.mark.parametrize("path", ["/api/v2/findings", "/api/v2/devices/{}/denials"])
async def test_answer_that_was_seen_is_not_sent_again(
    rig: Rig, acme: UUID, alice: Browser, path: str
) -> None:
    path = path.format(rig.device(acme))
    first = await alice.get(path)

    again = await alice.get(path, headers={"if-none-match": first.headers["etag"]})

    assert (first.status_code, again.status_code) == (200, 304)


async def test_fleet_without_faults_says_so(rig: Rig, acme: UUID, alice: Browser) -> None:
    rig.device(acme)

    assert await found(alice) == {}
    assert "Nothing found" in (await alice.page("/findings")).text


async def test_keys_that_nobody_has_looked_at_are_counted(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    hold(rig, acme, rig.device(acme), key_checked=False)

    answer = await alice.get("/api/v2/findings")

    assert answer.json() == {"findings": [], "unchecked_keys": 1}
    assert "1 keys have still" in (await alice.page("/findings")).text


async def test_dry_run_may_name_the_credential(
    rig: Rig, acme: UUID, alice: Browser, neighbours: Neighbours
) -> None:
    device = rig.device(acme)

    page = await alice.page(f"/devices/{device}/refusals?action=connect&credential=token")

    (asked,) = neighbours.asked
    assert isinstance(asked, events.DryRunRequest)
    assert asked.credential == "token"
    assert "By its token" in page.text
