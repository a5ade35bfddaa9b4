"""Every row is sealed once, in an order that late-comers cannot disturb, whatever dies on the way."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from cert_worker.sealing.places import Place, Teller
from cert_worker.sealing.sealer import LAG, Restored, Sealer
from cert_worker.sealing.signer import FileHeadSigner, SealKeyRefused
from pulse_common.clock import system_clock
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from services.cert_worker.tests.sealing.conftest import World

    from pulse_common.tenancy import Row

pytestmark = pytest.mark.anyio
PASSPHRASE = b"a-passphrase-of-at-least-32-characters"


async def test_what_was_sealed_verifies_with_the_auditors_command(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.seal("a", "b", "c")
    await world.seal("d")
    await world.act("not sealed yet")

    assert await world.verify() == 0
    told = capsys.readouterr().out
    assert "4 rows are as they were sealed" in told
    assert "1 newer rows are not sealed yet" in told


async def test_an_event_is_proven_to_somebody_with_an_older_head(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.seal("a", "b")
    await world.teller.tell_once()
    await world.seal("c", "d", "e")
    await world.verify()
    heads = ["--head", str(world.heads())]
    capsys.readouterr()

    assert world.audit("prove", "export", "--event", world.ids()[3], *heads) == 0
    (world.folder / "proof").write_text(capsys.readouterr().out, encoding="utf-8")
    assert world.audit("check-proof", "proof", *heads) == 0


async def test_tenants_have_trees_of_their_own(world: World) -> None:
    other = uuid4()
    await world.act("mine")
    await world.act("theirs", other)
    await world.sealer.seal_once()

    sizes = world.superuser.execute(
        "SELECT tenant_id, tree_size FROM audit_seals ORDER BY seal_id"
    ).fetchall()

    assert set(sizes) == {(world.tenant, 1), (other, 1)}
    assert "theirs" not in await world.export()


async def test_a_row_that_commits_late_is_sealed_late_and_not_forgotten(world: World) -> None:
    with psycopg.connect(world.superuser.info.dsn, password=world.superuser.info.password) as slow:
        slow.execute(
            "INSERT INTO audit_log (tenant_id, audit_id, actor_kind, actor_id, action, object_kind, object_id, outcome)"
            " VALUES (%s, %s, 'user', 'alice', 'device.rename', 'device', 'slow', 'success')",
            [world.tenant, uuid4()],
        )
        await world.act("quick, committed while the slow one was open")

        # Nothing above the oldest running transaction may be sealed: the slow row could still come before it.
        assert await world.sealer.seal_once() == 0
        slow.commit()

    assert await world.sealer.seal_once() == 2
    assert await world.verify() == 0


async def test_what_was_rolled_back_leaves_no_gap(world: World) -> None:
    await world.seal("a")
    with pytest.raises(RuntimeError):
        async with world.tenants.tenant_connection(world.tenant) as tx:
            await tx.execute("SELECT pg_current_xact_id()")
            raise RuntimeError
    await world.seal("b")

    assert await world.verify() == 0


async def test_two_replicas_do_not_seal_twice(world: World) -> None:
    for name in "abcdefgh":
        await world.act(name)
    other = Sealer(database=world.database, signer=world.signer, clock=system_clock)

    sealed = await asyncio.gather(world.sealer.seal_once(), other.seal_once())

    assert sum(sealed) == 8
    assert await world.verify() == 0


async def test_many_rows_are_sealed_in_several_batches(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    sealer = Sealer(database=world.database, signer=world.signer, clock=system_clock, most_rows=3)
    for number in range(8):
        await world.act(str(number))
    async with world.tenants.tenant_connection(world.tenant) as tx:
        await tx.execute("SELECT 1")

    sealed = [await sealer.seal_once() for _ in range(4)]

    assert sealed == [3, 3, 2, 0]
    assert await world.verify() == 0


async def test_one_transaction_larger_than_a_batch_is_sealed_whole(world: World) -> None:
    world.superuser.execute(
        "INSERT INTO audit_log (tenant_id, audit_id, actor_kind, actor_id, action, object_kind, object_id, outcome)"
        " SELECT %s, gen_random_uuid(), 'user', 'alice', 'device.rename', 'device', n::text, 'success'"
        "   FROM generate_series(1, 10) n",
        [world.tenant],
    )
    sealer = Sealer(database=world.database, signer=world.signer, clock=system_clock, most_rows=3)

    assert await sealer.seal_once() == 10
    assert await world.verify() == 0


async def test_lag_is_the_age_of_the_oldest_row_that_waits(world: World) -> None:
    await world.seal("a")
    assert LAG._value.get() == 0

    world.superuser.execute(
        "INSERT INTO audit_log (tenant_id, audit_id, at, actor_kind, actor_id, action, object_kind, object_id, outcome)"
        " VALUES (%s, gen_random_uuid(), now() - interval '1 minute', 'user', 'a', 'page.view', 'p', 'x', 'success'),"
        "        (%s, gen_random_uuid(), now(), 'user', 'a', 'page.view', 'p', 'x', 'success')",
        [world.tenant, world.tenant],
    )
    with psycopg.connect(world.superuser.info.dsn, password=world.superuser.info.password) as slow:
        slow.execute("SELECT pg_current_xact_id()")
        world.superuser.execute(
            "INSERT INTO audit_log"
            " (tenant_id, audit_id, at, actor_kind, actor_id, action, object_kind, object_id, outcome)"
            " VALUES (%s, gen_random_uuid(), now() - interval '2 minutes', 'user', 'a', 'page.view', 'p', 'x',"
            " 'success')",
            [world.tenant],
        )
        await world.sealer.seal_once()
        assert 120 <= LAG._value.get() < 180

    await world.sealer.seal_once()
    assert LAG._value.get() == 0


async def test_a_restored_database_stops_the_sealer_instead_of_forgetting_rows(
    world: World,
) -> None:
    world.superuser.execute(
        "INSERT INTO audit_seal_runs (xid_from, xid_to, rows, sealed_at) VALUES ('5', '999999999', 1, now())"
    )

    with pytest.raises(Restored, match="999999999"):
        await world.sealer.seal_once()


async def test_heads_reach_the_file_once_each_and_in_order(world: World) -> None:
    for name in "abc":
        await world.seal(name)

    assert [await world.teller.tell_once() for _ in range(2)] == [3, 0]

    lines = world.heads().read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["note"].splitlines()[1] for line in lines] == ["1", "2", "3"]


class Broken(Place):
    name = "file"

    async def tell(self, heads: Sequence[Row]) -> None:
        raise Unavailable("the place is away")


async def test_heads_wait_for_a_place_that_is_away(world: World) -> None:
    await world.seal("a")

    with pytest.raises(Unavailable):
        await Teller(world.database, Broken()).tell_once()

    assert await world.teller.tell_once() == 1


def test_the_key_stays_the_same_and_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"

    first, again = FileHeadSigner.open(path, PASSPHRASE), FileHeadSigner.open(path, PASSPHRASE)

    assert first.public_pem == again.public_pem
    assert b"ENCRYPTED" in path.read_bytes()
    with pytest.raises(SealKeyRefused, match="another passphrase"):
        FileHeadSigner.open(path, b"wrong" * 10)
    path.chmod(0o644)
    with pytest.raises(SealKeyRefused, match="chmod 600"):
        FileHeadSigner.open(path, PASSPHRASE)
