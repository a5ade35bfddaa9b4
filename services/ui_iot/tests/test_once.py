from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.ui_iot.tests.neighbours import TOKEN, Neighbours
from services.ui_iot.tests.rig import ISSUER, claims_of
from starlette.requests import Request

from pulse_common import events
from pulse_common.errors import Malformed, Unavailable
from ui_iot.idempotency_key import read_key
from ui_iot.once import KEEP, LEASE

if TYPE_CHECKING:
    from uuid import UUID

    import httpx2
    from services.ui_iot.tests.rig import Rig

pytestmark = pytest.mark.anyio


@dataclass
class Client:
    """One person's script."""

    rig: Rig
    tenant: UUID
    subject: str = field(default_factory=lambda: str(uuid4()))

    async def create(self, key: str, name: str = "Lamp") -> httpx2.Response:
        now = int(self.rig.now.timestamp())
        claims = {**claims_of(self.tenant, "tenant-admin"), "iat": now, "exp": now + 60}
        claims["sub"] = self.subject
        headers = {
            "authorization": f"Bearer {ISSUER.token(**claims)}",
            "idempotency-key": key,
        }
        return await self.rig.browser().post(
            "/api/v2/devices", json={"name": name}, headers=headers
        )


@pytest.fixture
def client(rig: Rig, acme: UUID) -> Client:
    return Client(rig, acme)


def devices_asked(neighbours: Neighbours) -> list[UUID | None]:
    return [a.device_id for a in neighbours.asked if isinstance(a, events.CreateDeviceRequest)]


async def test_same_request_again_gets_the_answer_it_got(
    client: Client, neighbours: Neighbours
) -> None:
    first = await client.create('"key-1"')
    again = [await client.create('"key-1"'), await client.create("key-1")]

    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    for answer in again:
        assert (answer.status_code, answer.content) == (201, first.content)
        assert answer.headers["idempotency-replayed"] == "true"
        assert answer.headers["location"] == first.headers["location"]
    assert len(neighbours.asked) == 1


async def test_same_key_with_another_request_is_refused(
    client: Client, neighbours: Neighbours
) -> None:
    await client.create("key-1")

    other = await client.create("key-1", "Pump")

    assert other.status_code == 422
    assert len(neighbours.asked) == 1


async def test_of_requests_at_once_one_is_done_and_the_others_wait_for_nothing(
    client: Client, neighbours: Neighbours
) -> None:
    neighbours.delay_seconds = 0.5

    answers = await asyncio.gather(*(client.create("key-1") for _ in range(6)))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    assert len(neighbours.asked) == 1


async def test_key_is_one_persons_of_one_tenant(
    rig: Rig, client: Client, neighbours: Neighbours
) -> None:
    colleague = Client(rig, client.tenant)
    namesake = Client(rig, rig.tenant("Globex"), client.subject)

    answers = [await somebody.create("key-1") for somebody in (client, colleague, namesake)]

    assert all("idempotency-replayed" not in answer.headers for answer in answers)
    assert len(set(devices_asked(neighbours))) == 3


async def test_key_is_forgotten_after_a_day(
    rig: Rig, client: Client, neighbours: Neighbours
) -> None:
    await client.create("key-1")
    rig.now += KEEP - timedelta(seconds=1)
    late = await client.create("key-1", "Pump")
    rig.pass_time(seconds=1)

    after = await client.create("key-1", "Pump")

    assert (late.status_code, after.status_code) == (422, 201)
    kept = rig.superuser.execute(
        "SELECT count(*) FROM idempotency_keys WHERE tenant_id = %s", [client.tenant]
    ).fetchone()
    assert kept == (1,)


async def test_token_is_not_readable_where_the_answer_is_kept(
    rig: Rig, client: Client, neighbours: Neighbours
) -> None:
    created = await client.create("key-1")

    assert created.json()["enrolment_token"]["token"] == TOKEN
    row = rig.superuser.execute(
        "SELECT k::text, answer_sealed FROM idempotency_keys k WHERE tenant_id = %s",
        [client.tenant],
    ).fetchone()
    assert row is not None
    assert TOKEN not in row[0]
    assert b"pet_" not in bytes(row[1])
    assert b"key-1" not in row[0].encode()


async def test_answer_that_was_moved_to_another_persons_key_does_not_open(
    rig: Rig, client: Client, neighbours: Neighbours
) -> None:
    thief = Client(rig, client.tenant)
    await client.create("key-1")
    await thief.create("key-1")
    rig.superuser.execute(
        """
        UPDATE idempotency_keys mine SET answer_sealed = theirs.answer_sealed
          FROM idempotency_keys theirs
         WHERE mine.actor_id = %s AND theirs.actor_id = %s
        """,
        [thief.subject, client.subject],
    )

    stolen = await thief.create("key-1")

    assert stolen.status_code == 409
    assert TOKEN not in stolen.text


async def test_refused_request_frees_its_key(client: Client, neighbours: Neighbours) -> None:
    neighbours.refusal = Malformed("name must not hold control characters")
    refused = await client.create("key-1", "x")
    neighbours.refusal = None

    better = await client.create("key-1", "Lamp")

    assert (refused.status_code, better.status_code) == (400, 201)


async def test_request_that_nobody_answered_is_tried_again_for_the_same_device(
    client: Client, neighbours: Neighbours
) -> None:
    neighbours.refusal = Unavailable("provision_api did not answer")
    lost = await client.create("key-1")
    neighbours.refusal = None

    found = await client.create("key-1")

    assert (lost.status_code, found.status_code) == (503, 201)
    assert len(devices_asked(neighbours)) == 2
    assert len(set(devices_asked(neighbours))) == 1


async def test_request_that_died_on_the_way_is_taken_over_after_its_lease(
    rig: Rig, client: Client, neighbours: Neighbours
) -> None:
    await client.create("key-1")
    rig.superuser.execute(
        "UPDATE idempotency_keys SET answer_sealed = NULL WHERE tenant_id = %s", [client.tenant]
    )

    early = await client.create("key-1")
    rig.now += LEASE
    late = await client.create("key-1")

    assert (early.status_code, late.status_code) == (409, 201)
    assert len(set(devices_asked(neighbours))) == 1


async def test_other_tenants_keys_do_not_exist_for_a_tenant(
    rig: Rig, client: Client, neighbours: Neighbours
) -> None:
    await client.create("key-1")
    globex = rig.tenant("Globex")

    async with rig.db.tenant_connection(globex) as tx:  # type: ignore[arg-type] # any UUID will do
        seen = await tx.all("SELECT actor_id FROM idempotency_keys")
        changed = await tx.execute("DELETE FROM idempotency_keys")

    assert (seen, changed) == ([], 0)


def asking(*keys: str) -> Request:
    headers = [(b"idempotency-key", key.encode("latin-1")) for key in keys]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    "keys", [[""], ['""'], ['"open'], ["a b"], ["ü"], ["a" * 101], ["a", "a"], ['"a\\"b"'], ["'a'"]]
)
async def test_what_is_no_key_is_refused(keys: list[str]) -> None:
    with pytest.raises(Malformed, match="Idempotency-Key"):
        read_key(asking(*keys))


@given(st.text(st.characters(max_codepoint=255)))
def test_any_header_is_a_key_or_malformed(text: str) -> None:
    try:
        key = read_key(asking(text))
    except Malformed:
        return
    assert key is not None
    assert 1 <= len(key) <= 100
