"""One credential in two places is noticed, kept for its tenant and bounded; a device that roams is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.mqtt_authz.tests.conftest import asking, body_for, make_gate

from mqtt_authz import conflicts as module
from mqtt_authz.conflict_store import MOST_OF_A_DEVICE
from mqtt_authz.conflicts import OFTEN, Conflicts
from mqtt_authz.domain import Whose
from pulse_common.clock import system_clock
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    import psycopg
    from services.mqtt_authz.tests.conftest import Enrol, Mint
pytestmark = pytest.mark.anyio
A, B, C = "192.0.2.1", "198.51.100.2", "203.0.113.3"


@dataclass
class Seen:
    """A gate's eyes, whose time a test moves."""

    conflicts: Conflicts
    now: float = 0.0
    whose: Whose = field(default_factory=lambda: Whose(TenantId(uuid4()), uuid4(), "0a"))

    def come(self, *addresses: str, every: float = 10.0) -> None:
        for address in addresses:
            self.now += every
            self.conflicts.note(self.whose, address)

    @property
    def pairs(self) -> dict[tuple[str, str], int]:
        found = self.conflicts.pending.items()
        return {(one.address, one.other_address): times for one, times in found}


@pytest.fixture
def seen(database: Database) -> Seen:
    made = Seen(Conflicts(database=database, clock=system_clock, monotonic=lambda: made.now))
    return made


async def test_sessions_that_take_turns_between_two_addresses_are_noticed(seen: Seen) -> None:
    seen.come(A, B, A, B)

    assert seen.pairs == {(A, B): 2}


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param([A, B, C], id="roams"),
        pytest.param([A, B, B, B], id="moves once"),
        pytest.param([A] * (OFTEN - 1), id="falls now and then"),
        pytest.param(["2001:db8::1", "2001:db8::2", "2001:db8::1"], id="temporary addresses"),
    ],
)
async def test_what_one_device_does_is_not_noticed(seen: Seen, addresses: list[str]) -> None:
    seen.come(*addresses)

    assert seen.pairs == {}


async def test_coming_back_much_later_is_no_conflict(seen: Seen) -> None:
    seen.come(A, B, A, every=601)

    assert seen.pairs == {}


async def test_two_behind_one_address_are_noticed_by_how_often_they_come(seen: Seen) -> None:
    seen.come(*[A] * OFTEN, every=9)

    assert seen.pairs == {(A, A): 1}


async def test_device_that_comes_once_a_minute_is_not_noticed(seen: Seen) -> None:
    seen.come(*[A] * 50, every=61)

    assert seen.pairs == {}


async def test_memory_is_bounded(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REMEMBERED", 2)
    monkeypatch.setattr(module, "MOST_PENDING", 1)
    seen.come(A, B)
    for number in range(2):
        seen.whose = Whose(TenantId(uuid4()), uuid4(), f"b{number}")
        seen.come(A, B, A)
    seen.whose = Whose(TenantId(uuid4()), uuid4(), "c")
    seen.come(A, B, A)

    assert len(seen.pairs) == 1


async def test_both_kinds_of_credential_are_kept_for_their_tenants(
    database: Database, enrol: Enrol, mint: Mint, superuser: psycopg.Connection
) -> None:
    enrolled, held = enrol(), mint()
    noticed = Conflicts(database=database, clock=system_clock)
    gate = make_gate(database, on_admitted=noticed.note)

    async with asking(gate) as broker:
        for address in (A, B, A):
            await broker.ask("mqtt-auth", body_for(enrolled, peerhost=address))
            await broker.ask("mqtt-auth", held.body(peerhost=address))
    await noticed.flush()
    await noticed.flush()

    rows = superuser.execute(
        "SELECT tenant_id, device_id, serial_number, address, other_address, times FROM session_conflicts"
        " WHERE device_id = ANY(%s)",
        [[enrolled.device, held.device]],
    ).fetchall()
    assert set(rows) == {
        (enrolled.tenant, enrolled.device, enrolled.serial_number, A, B, 1),
        (held.tenant, held.device, str(held.token), A, B, 1),
    }


async def test_refused_connects_are_no_conflict(database: Database, enrol: Enrol) -> None:
    enrolled = enrol()
    noticed = Conflicts(database=database, clock=system_clock)

    async with asking(make_gate(database, on_admitted=noticed.note)) as broker:
        for address in (A, B, A):
            body = body_for(enrolled, peerhost=address, clientid=str(uuid4()))
            await broker.ask("mqtt-auth", body)

    assert noticed.pending == {}


async def test_row_a_pair_adds_up_and_a_device_fills_few(
    seen: Seen, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    enrolled = enrol()
    seen.whose = Whose(enrolled.tenant, enrolled.device, "0a")
    seen.come(A, B, A)
    await seen.conflicts.flush()
    seen.come(B, A)
    await seen.conflicts.flush()
    for number in range(MOST_OF_A_DEVICE + 5):
        seen.come(A, f"10.0.0.{number}", A)
        await seen.conflicts.flush()

    rows = superuser.execute(
        "SELECT times FROM session_conflicts WHERE device_id = %s ORDER BY times DESC",
        [enrolled.device],
    ).fetchall()
    assert rows[0] == (3,)
    assert len(rows) == MOST_OF_A_DEVICE


async def test_nothing_is_lost_while_the_database_is_away(seen: Seen) -> None:
    away = Database("postgresql://svc_mqtt_authz:x@127.0.0.1:1/pulse", name="test")
    seen.conflicts.database = away
    seen.come(A, B, A)

    with pytest.raises(Unavailable):
        await seen.conflicts.flush()

    assert seen.pairs == {(A, B): 1}


async def test_old_conflicts_are_deleted(
    seen: Seen, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    enrolled = enrol()
    seen.whose = Whose(enrolled.tenant, enrolled.device, "0a")
    seen.come(A, B, A)
    await seen.conflicts.flush()
    await seen.conflicts.forget_old()
    kept = superuser.execute("SELECT count(*) FROM session_conflicts").fetchone()
    superuser.execute("UPDATE session_conflicts SET last_at = now() - interval '15 days'")

    deleted = await seen.conflicts.forget_old()

    assert kept is not None
    assert kept[0] == deleted >= 1
