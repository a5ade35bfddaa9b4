"""The database's own administrator alters the log: the auditor's command finds and names each alteration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from cert_worker.sealing.sealer import Sealer
from cert_worker.sealing.signer import FileHeadSigner
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    from services.cert_worker.tests.sealing.conftest import World

pytestmark = pytest.mark.anyio

COPY_ROW = """
    INSERT INTO audit_log (tenant_id, audit_id, at, service, actor_kind, actor_id, action, object_kind, object_id,
                           outcome, reason, address, user_agent, request_id, before, after, details, xid)
    SELECT tenant_id, gen_random_uuid(), at, service, actor_kind, 'mallory', action, object_kind, object_id,
           outcome, reason, address, user_agent, request_id, before, after, details, xid
      FROM audit_log WHERE audit_id = %s
"""


@pytest.fixture
async def sealed(world: World) -> World:
    """Three batches of four rows; their heads are outside."""
    for batch in ("abcd", "efgh", "ijkl"):
        await world.seal(*batch)
        await world.teller.tell_once()
    return world


async def found(world: World, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """Run the auditor's command, which must refuse, and return what it says."""
    capsys.readouterr()
    assert await world.verify(*more) == 1
    return capsys.readouterr().err


async def test_untouched_it_is_sound(sealed: World) -> None:
    assert await sealed.verify("--head", str(sealed.heads())) == 0


@pytest.mark.parametrize(
    "change",
    [
        "actor_id = 'mallory'",
        "outcome = 'denied'",
        "at = at - interval '1 microsecond'",
        "reason = NULL",
        "service = 'svc_other'",
        """after = '{"name": "Other"}'""",
        """before = '{"n": 1.50, "name": "Lamp"}'""",
        """details = '{"x": 1}'""",
    ],
)
async def test_an_edit_is_found(
    sealed: World, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    target = sealed.ids()[5]
    sealed.superuser.execute(
        f"UPDATE audit_log SET {change} WHERE audit_id = %s".encode(),  # noqa: S608 -- the list above
        [target],
    )

    assert f"row {target} at position 5 was altered" in await found(sealed, capsys)


async def test_a_deletion_is_found(sealed: World, capsys: pytest.CaptureFixture[str]) -> None:
    target = sealed.ids()[6]
    sealed.superuser.execute("DELETE FROM audit_log WHERE audit_id = %s", [target])

    assert f"row {target} at position 6 is missing" in await found(sealed, capsys)


async def test_an_insertion_is_found(sealed: World, capsys: pytest.CaptureFixture[str]) -> None:
    sealed.superuser.execute(COPY_ROW, [sealed.ids()[6]])

    told = await found(sealed, capsys)

    assert "was added" in told
    assert any(name in told for name in sealed.ids())


async def test_an_insertion_between_two_batches_is_found(
    sealed: World, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed.superuser.execute(
        COPY_ROW.replace("details, xid\n      FROM", "details, '5'::xid8 FROM"), [sealed.ids()[6]]
    )

    assert "was added" in await found(sealed, capsys)


async def test_a_swap_is_found(sealed: World, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = sealed.ids()[1], sealed.ids()[2]
    sealed.superuser.execute(
        "UPDATE audit_log a SET xid = b.xid FROM audit_log b"
        " WHERE (a.audit_id, b.audit_id) IN ((%(one)s, %(other)s), (%(other)s, %(one)s))",
        {"one": one, "other": other},
    )

    assert "reordered" in await found(sealed, capsys)


async def test_a_truncated_tail_is_found(sealed: World, capsys: pytest.CaptureFixture[str]) -> None:
    for target in sealed.ids()[8:]:
        sealed.superuser.execute("DELETE FROM audit_log WHERE audit_id = %s", [target])
    sealed.superuser.execute("DELETE FROM audit_seals WHERE batch = 2")

    told = await found(sealed, capsys, "--head", str(sealed.heads()))

    assert "the tail is cut: the log ends after 8 rows, the outside head has 12" in told


async def test_an_emptied_log_is_found(sealed: World, capsys: pytest.CaptureFixture[str]) -> None:
    sealed.superuser.execute("TRUNCATE audit_log, audit_seals, audit_seal_runs")

    assert "tail is cut" in await found(sealed, capsys, "--head", str(sealed.heads()))


async def test_a_chain_recomputed_without_the_key_is_found(
    sealed: World, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed.superuser.execute("UPDATE audit_log SET actor_id = 'mallory' WHERE object_id = 'b'")
    sealed.superuser.execute("TRUNCATE audit_seals, audit_seal_runs")
    forged = FileHeadSigner.open(sealed.folder / "forged.key", b"f" * 32)
    sealer = Sealer(database=sealed.database, signer=forged, clock=system_clock)

    assert await sealer.seal_once() == 12

    assert "not signed by this key" in await found(sealed, capsys)


async def test_a_chain_recomputed_by_the_sealer_itself_is_found_by_the_head_outside(
    sealed: World, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed.superuser.execute("UPDATE audit_log SET actor_id = 'mallory' WHERE object_id = 'b'")
    sealed.superuser.execute("TRUNCATE audit_seals, audit_seal_runs")

    assert await sealed.sealer.seal_once() == 12

    assert await sealed.verify() == 0
    assert "two histories" in await found(sealed, capsys, "--head", str(sealed.heads()))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET reason = reason",
        "UPDATE audit_seals SET note = note",
        "UPDATE audit_seal_runs SET rows = rows",
        "DELETE FROM audit_log",
        "DELETE FROM audit_seals",
        "DELETE FROM audit_seal_runs",
        "TRUNCATE audit_log",
        "TRUNCATE audit_seals",
        "TRUNCATE audit_seal_runs",
    ],
)
async def test_no_role_of_ours_may_alter_anything(world: World, statement: str) -> None:
    roles = world.superuser.execute(
        "SELECT rolname FROM pg_roles WHERE (rolname LIKE 'pulse_%' OR rolname LIKE 'svc_%')"
        " AND rolname <> 'pulse_owner'"
    ).fetchall()
    for (role,) in roles:
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            world.superuser.transaction(force_rollback=True),
        ):
            world.superuser.execute("SELECT set_config('role', %s, true)", [role])
            world.superuser.execute(statement.encode())
