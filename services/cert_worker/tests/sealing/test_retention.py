"""What retention lets go leaves a tombstone, and nothing else ever leaves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from cert_worker.sealing.keeping import Keeper
from cert_worker.sealing.sealer import Sealer
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    from services.cert_worker.tests.sealing.conftest import World

pytestmark = pytest.mark.anyio

OLD = datetime(2025, 3, 14, 15, 9, tzinfo=UTC)
INSERT = """
    INSERT INTO audit_log (tenant_id, audit_id, at, actor_kind, actor_id, action, object_kind, object_id, outcome)
    VALUES (%s, gen_random_uuid(), %s, 'user', 'alice', 'device.rename', 'device', 'old', 'success')
"""


def make_month(world: World) -> None:
    world.superuser.execute(
        "DROP TABLE IF EXISTS audit_log_202503;"
        "CREATE TABLE audit_log_202503 PARTITION OF audit_log"
        " FOR VALUES FROM ('2025-03-01Z') TO ('2025-04-01Z');"
        "ALTER TABLE audit_log_202503 OWNER TO pulse_owner"
    )


def months(world: World) -> set[str]:
    found = world.superuser.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_log'::regclass"
    ).fetchall()
    return {str(row[0]) for row in found}


async def test_months_are_made_ahead_and_take_what_came_early(world: World) -> None:
    await world.seal("a")
    await Keeper(world.database, system_clock, None).keep_once()

    now = system_clock()
    assert f"audit_log_{now:%Y%m}" in months(world)
    row = world.superuser.execute(
        "SELECT tableoid::regclass::text FROM audit_log WHERE tenant_id = %s", [world.tenant]
    ).fetchone()
    assert row == (f"audit_log_{now:%Y%m}",)
    assert await world.verify() == 0


async def test_a_dropped_month_is_told_by_a_sealed_tombstone(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    make_month(world)
    for _ in range(3):
        world.superuser.execute(INSERT, [world.tenant, OLD])
    long_ago = Sealer(
        database=world.database, signer=world.signer, clock=lambda: OLD + timedelta(minutes=1)
    )
    await long_ago.seal_once()
    await world.seal("new")

    await Keeper(world.database, system_clock, 12).keep_once()
    await world.sealer.seal_once()

    assert "audit_log_202503" not in months(world)
    assert world.superuser.execute(
        "SELECT object_id, details -> 'rows', details -> 'positions' FROM audit_log"
        " WHERE action = 'audit.expire' AND tenant_id = %s",
        [world.tenant],
    ).fetchall() == [("2025-03", 3, [[0, 2]])]
    assert await world.verify() == 0
    assert "3 of them were dropped by retention" in capsys.readouterr().out


async def test_a_month_that_is_not_sealed_stays(world: World) -> None:
    make_month(world)
    world.superuser.execute(INSERT, [world.tenant, OLD])

    with pytest.raises(psycopg.errors.RaiseException, match="not sealed yet"):
        await Keeper(world.database, system_clock, 12).keep_once()

    assert "audit_log_202503" in months(world)


async def test_a_young_month_cannot_be_dropped_by_anybody(world: World) -> None:
    month = f"{system_clock():%Y-%m-01}"

    with pytest.raises(psycopg.errors.RaiseException, match="younger than 90 days"):
        world.superuser.execute("SELECT drop_audit_month(%s)", [month])


async def test_nothing_is_dropped_unless_a_setting_says_so(world: World) -> None:
    make_month(world)

    await Keeper(world.database, system_clock, None).keep_once()

    assert "audit_log_202503" in months(world)


@pytest.mark.parametrize("role", ["pulse_app", "pulse_audit", "pulse_ca", "pulse_operator_write"])
async def test_no_other_role_may_ask_for_it(world: World, role: str) -> None:
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        world.superuser.transaction(force_rollback=True),
    ):
        world.superuser.execute("SELECT set_config('role', %s, true)", [role])
        world.superuser.execute("SELECT drop_audit_month('2020-01-01')")
