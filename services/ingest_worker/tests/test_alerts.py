"""Alerts in a real PostgreSQL: raised and cleared once, by whichever replica, and of nobody else's devices."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from ingest_worker.alerts.deciding import MOST_RULES, Deciding
from ingest_worker.alerts.judging import Judging
from ingest_worker.alerts.known_rules import KnownRules
from ingest_worker.alerts.silence import Silence
from pulse_common import events_alerts as calls
from pulse_common.errors import Conflict, NotFound, Stale, Unavailable
from pulse_common.events import Reading
from pulse_common.ids import new_id
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import psycopg
    from tests.parts import Postgres

    from pulse_common.events import MetricValue

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Rig:
    database: Database
    superuser: psycopg.Connection
    now: datetime = START
    seeing: bool = True
    rules: KnownRules = field(init=False)
    judging: Judging = field(init=False)
    deciding: Deciding = field(init=False)

    def __post_init__(self) -> None:
        self.rules, self.judging = self.replica()
        self.deciding = Deciding(database=self.database, rules=self.rules, clock=lambda: self.now)

    def replica(self) -> tuple[KnownRules, Judging]:
        rules = KnownRules(self.database)
        return rules, Judging(database=self.database, rules=rules, clock=lambda: self.now)

    async def look(self, seconds: float = 10) -> None:
        """Let time pass in steps of the job's own, the last of which is now."""
        until = self.now + timedelta(seconds=seconds)
        while self.now < until:
            self.now = min(until, self.now + timedelta(seconds=10))
            await Silence(database=self.database, clock=lambda: self.now, sees=self._sees).look()

    async def stored(self, *readings: Reading) -> None:
        """Store readings as one batch, and judge them."""
        for one in readings:
            self.superuser.execute(
                "INSERT INTO telemetry (tenant_id, device_id, ts, message_id, metrics, received_at)"
                " VALUES (%s, %s, %s, %s, %s::jsonb, %s)",
                [
                    one.tenant_id,
                    one.device_id,
                    one.ts,
                    one.message_id,
                    json.dumps(one.metrics),
                    one.received_at,
                ],
            )
        await self.judging.judge(readings)

    async def _sees(self) -> bool:
        return self.seeing

    def tenant(self) -> UUID:
        tenant = uuid4()
        self.superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'A')", [tenant])
        return tenant

    def device(self, tenant: UUID, heard: datetime | None = None) -> UUID:
        device = uuid4()
        self.superuser.execute(
            "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'Lamp')",
            [tenant, device],
        )
        if heard is not None:
            self.hear(tenant, device, heard)
        return device

    def hear(self, tenant: UUID, device: UUID, at: datetime) -> None:
        self.superuser.execute(
            "INSERT INTO device_last_state (tenant_id, device_id, last_seen_at, ts, metrics)"
            " VALUES (%s, %s, %s, %s, '{}') ON CONFLICT (tenant_id, device_id)"
            " DO UPDATE SET last_seen_at = excluded.last_seen_at",
            [tenant, device, at, at],
        )

    async def rule(self, tenant: UUID, **wanted: object) -> UUID:
        given = {"name": "Hot", "kind": "threshold", "metric": "temp", "direction": "above"}
        if wanted.get("kind") == "absence":
            given = {"name": "Silent"}
        elif "raise_at" not in wanted:
            wanted = {"raise_at": 30.0, "clear_at": 25.0, **wanted}
        asked = calls.CreateRuleRequest(
            tenant_id=tenant,
            actor_id="alice",
            rule_id=new_id(),
            wanted=calls.RuleWanted.model_validate({**given, **wanted}),
        )
        return (await self.deciding.create(asked)).rule_id

    def reading(
        self, tenant: UUID, device: UUID, value: MetricValue, seconds: float = 0
    ) -> Reading:
        ts = self.now + timedelta(seconds=seconds)
        return Reading(
            tenant_id=tenant,
            device_id=device,
            message_id=uuid4(),
            ts=ts,
            received_at=self.now,
            metrics={"temp": value},
        )

    def alerts(self, tenant: UUID) -> list[tuple[UUID, str | None]]:
        return self.superuser.execute(
            "SELECT device_id, clear_reason FROM alerts WHERE tenant_id = %s"
            " ORDER BY raised_at, alert_id",
            [tenant],
        ).fetchall()

    def told(self, tenant: UUID) -> list[str]:
        rows = self.superuser.execute(
            "SELECT subject FROM outbox WHERE tenant_id = %s AND subject NOT LIKE '%%rules_changed'"
            " ORDER BY position",
            [tenant],
        )
        return [subject.removeprefix("pulse.events.") for (subject,) in rows]

    def payloads(self, tenant: UUID, subject: str) -> Sequence[Any]:
        rows = self.superuser.execute(
            "SELECT payload FROM outbox WHERE tenant_id = %s AND subject = %s ORDER BY position",
            [tenant, f"pulse.events.{subject}"],
        )
        return [payload for (payload,) in rows]


@pytest.fixture
async def rig(postgres: Postgres, superuser: psycopg.Connection) -> AsyncIterator[Rig]:
    superuser.execute("DELETE FROM alert_watch")
    database = Database(postgres.url("svc_ingest_worker"), name="test")
    await database.open()
    yield Rig(database, superuser)
    await database.close()


async def test_a_batch_raises_and_clears_and_tells_of_both_in_this_order(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    await rig.rule(tenant)

    await rig.judging.judge(
        [
            rig.reading(tenant, device, value, at)
            for at, value in enumerate([20.0, 31.0, 27.0, 24.0])
        ]
    )

    assert rig.alerts(tenant) == [(device, "recovered")]
    assert rig.told(tenant) == ["alert.raised", "alert.cleared"]
    [raised] = rig.payloads(tenant, "alert.raised")
    assert (raised["value"], raised["metric"], raised["device_id"]) == (31, "temp", str(device))


async def test_a_batch_that_comes_again_after_a_crash_raises_nothing_more(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    await rig.rule(tenant)
    batch = [rig.reading(tenant, device, value, at) for at, value in enumerate([31.0, 20.0])]
    await rig.judging.judge(batch)

    _, after_restart = rig.replica()
    await after_restart.judge(batch)

    assert rig.told(tenant) == ["alert.raised", "alert.cleared"]


async def test_two_replicas_at_once_raise_one_alert(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    await rig.rule(tenant)
    replicas = [rig.replica()[1] for _ in range(4)]

    await asyncio.gather(
        *(
            each.judge([rig.reading(tenant, device, 31.0, place)])
            for place, each in enumerate(replicas)
        )
    )

    assert rig.alerts(tenant) == [(device, None)]
    assert rig.told(tenant) == ["alert.raised"]


async def test_another_replica_clears_what_one_has_raised(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    await rig.rule(tenant)
    await rig.judging.judge([rig.reading(tenant, device, 31.0)])

    await rig.replica()[1].judge([rig.reading(tenant, device, 20.0, 5)])

    assert rig.alerts(tenant) == [(device, "recovered")]


async def test_what_is_held_is_counted_across_batches_and_replicas(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    await rig.rule(tenant, hold_seconds=20)
    await rig.judging.judge([rig.reading(tenant, device, 31.0)])
    await rig.replica()[1].judge([rig.reading(tenant, device, 31.0, 19)])
    assert rig.alerts(tenant) == []

    await rig.replica()[1].judge([rig.reading(tenant, device, 31.0, 20)])

    assert rig.alerts(tenant) == [(device, None)]


async def test_a_rate_is_measured_from_the_batch_before(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    await rig.rule(tenant, kind="rate", raise_at=10.0)
    await rig.judging.judge([rig.reading(tenant, device, 20.0)])

    await rig.replica()[1].judge([rig.reading(tenant, device, 26.0, 30)])

    assert rig.alerts(tenant) == [(device, None)]


async def test_readings_of_more_than_five_minutes_ago_raise_nothing(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    await rig.rule(tenant)

    await rig.judging.judge([rig.reading(tenant, device, 99.0, -301)])

    assert rig.alerts(tenant) == []


@pytest.mark.parametrize("hold", [0, 20])
async def test_readings_that_come_late_leave_an_alert_as_it_is_by_the_newest(
    rig: Rig, hold: int
) -> None:
    """Nothing is left raised, or cleared, by what the device has long overtaken."""
    tenant = rig.tenant()
    hot, cool = rig.device(tenant), rig.device(tenant)
    await rig.rule(tenant, hold_seconds=hold)
    for seconds in range(-240, 1, 20):
        await rig.stored(
            rig.reading(tenant, hot, 31.0, seconds), rig.reading(tenant, cool, 20.0, seconds)
        )
    assert rig.alerts(tenant) == [(hot, None)]

    await rig.stored(*(rig.reading(tenant, hot, 20.0, seconds) for seconds in (-159, -130)))
    await rig.stored(*(rig.reading(tenant, cool, 31.0, seconds) for seconds in (-159, -130)))

    still_raised = [device for device, reason in rig.alerts(tenant) if reason is None]
    assert still_raised == [hot]


async def test_batches_judged_the_other_way_round_come_to_the_same_end(rig: Rig) -> None:
    """Two are judged at a time: the later one may be first."""
    tenant, other = rig.tenant(), rig.tenant()
    device, theirs = rig.device(tenant), rig.device(other)
    await rig.rule(tenant)
    await rig.stored(rig.reading(tenant, device, 20.0, -1), rig.reading(other, theirs, 31.0, 1))

    await rig.stored(rig.reading(tenant, device, 31.0, -60))

    assert rig.alerts(tenant) == [(device, "recovered")]
    assert rig.told(tenant) == ["alert.raised", "alert.cleared"]


@pytest.mark.parametrize("value", [True, "99"])
async def test_what_is_no_number_raises_nothing(rig: Rig, value: MetricValue) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    await rig.rule(tenant, raise_at=0.0)

    await rig.judging.judge([rig.reading(tenant, device, value)])

    assert rig.alerts(tenant) == []


async def test_a_rule_never_sees_another_tenants_devices(rig: Rig) -> None:
    acme, globex = rig.tenant(), rig.tenant()
    theirs = rig.device(globex, START)
    await rig.rule(acme)
    await rig.rule(acme, device_ids=[theirs])
    await rig.rule(acme, kind="absence", silent_seconds=60)

    await rig.judging.judge([rig.reading(globex, theirs, 99.0)])
    await rig.look(200)

    assert rig.alerts(acme) == rig.alerts(globex) == []


async def test_a_rule_of_a_group_follows_its_members(rig: Rig) -> None:
    tenant = rig.tenant()
    inside, outside = rig.device(tenant), rig.device(tenant)
    group = uuid4()
    rig.superuser.execute(
        "INSERT INTO device_groups (tenant_id, group_id, name) VALUES (%s, %s, 'Roof')",
        [tenant, group],
    )
    rig.superuser.execute(
        "INSERT INTO device_group_members VALUES (%s, %s, %s)", [tenant, group, inside]
    )
    await rig.rule(tenant, group_ids=[group])
    await rig.judging.judge([rig.reading(tenant, one, 31.0) for one in (inside, outside)])
    assert rig.alerts(tenant) == [(inside, None)]

    rig.superuser.execute("DELETE FROM device_groups WHERE group_id = %s", [group])
    rig.rules.forget(tenant)
    await rig.judging.judge([rig.reading(tenant, outside, 31.0, 1)])
    await rig.look()

    assert rig.alerts(tenant) == [(inside, "rule_changed")]


async def test_a_changed_rule_clears_what_the_old_one_raised_and_judges_anew(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    rule = await rig.rule(tenant)
    await rig.judging.judge([rig.reading(tenant, device, 31.0)])
    wanted = calls.RuleWanted(
        name="Hotter", kind="threshold", metric="temp", direction="above", raise_at=40
    )
    asked = calls.ChangeRuleRequest(
        tenant_id=tenant, actor_id="alice", rule_id=rule, wanted=wanted, version=1
    )

    await rig.deciding.change(asked)
    await rig.judging.judge([rig.reading(tenant, device, value, 1) for value in (31.0, 41.0)])

    assert rig.alerts(tenant) == [(device, "rule_changed"), (device, None)]
    with pytest.raises(Stale):
        await rig.deciding.change(asked)


async def test_a_replica_that_knows_the_old_rule_raises_nothing_by_it(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    rule = await rig.rule(tenant)
    _, other = rig.replica()
    await other.judge([rig.reading(tenant, device, 20.0)])
    wanted = calls.RuleWanted(
        name="Off",
        kind="threshold",
        metric="temp",
        direction="above",
        raise_at=30,
        enabled=False,
    )
    await rig.deciding.change(
        calls.ChangeRuleRequest(
            tenant_id=tenant, actor_id="alice", rule_id=rule, wanted=wanted, version=None
        )
    )

    await other.judge([rig.reading(tenant, device, 31.0, 1)])

    assert rig.alerts(tenant) == []


async def test_of_a_disabled_or_deleted_device_nothing_is_raised_and_nothing_stays_open(
    rig: Rig,
) -> None:
    tenant = rig.tenant()
    device, deleted = rig.device(tenant), rig.device(tenant)
    await rig.rule(tenant)
    await rig.judging.judge([rig.reading(tenant, one, 31.0) for one in (device, deleted)])
    rig.superuser.execute("UPDATE devices SET status = 'disabled' WHERE device_id = %s", [device])
    rig.superuser.execute("DELETE FROM devices WHERE device_id = %s", [deleted])

    await rig.look()
    await rig.judging.judge([rig.reading(tenant, device, 31.0, 90)])

    assert [reason for _, reason in rig.alerts(tenant)] == ["device_gone"] * 2


async def test_silence_raises_once_and_a_word_clears_it(rig: Rig) -> None:
    tenant = rig.tenant()
    silent, talking, new = rig.device(tenant, START), rig.device(tenant, START), rig.device(tenant)
    await rig.rule(tenant, kind="absence", silent_seconds=60)
    await rig.look(50)
    assert rig.alerts(tenant) == []
    rig.hear(tenant, talking, rig.now)

    await rig.look(50)
    assert rig.alerts(tenant) == [(silent, None)]
    rig.hear(tenant, silent, rig.now)
    rig.hear(tenant, talking, rig.now)
    await rig.look(20)

    assert rig.alerts(tenant) == [(silent, "recovered")]
    assert new not in dict(rig.alerts(tenant))


async def test_while_ingest_could_not_see_nobody_was_silent(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant, START)
    await rig.rule(tenant, kind="absence", silent_seconds=120)
    await rig.look(60)
    rig.seeing = False
    await rig.look(600)

    rig.seeing = True
    await rig.look(110)
    assert rig.alerts(tenant) == []
    await rig.look(30)

    assert rig.alerts(tenant) == [(device, None)]


async def test_a_clock_set_back_or_forward_makes_nobody_silent(rig: Rig) -> None:
    tenant = rig.tenant()
    rig.device(tenant, START)
    await rig.rule(tenant, kind="absence", silent_seconds=120)
    await rig.look(60)

    rig.now += timedelta(hours=2)
    await rig.look(60)
    rig.now -= timedelta(hours=3)
    await rig.look(60)

    assert rig.alerts(tenant) == []


async def test_a_tenant_gets_a_mail_at_once_and_of_what_follows_one_in_five_minutes(
    rig: Rig,
) -> None:
    tenant = rig.tenant()
    devices = [rig.device(tenant) for _ in range(25)]
    await rig.rule(tenant, by_mail=True)
    await rig.rule(tenant, name="Also", raise_at=30.6, by_mail=True)
    await rig.rule(tenant, name="Not by mail")
    await rig.judging.judge([rig.reading(tenant, devices[0], 31.0)])
    await rig.look()
    await rig.judging.judge([rig.reading(tenant, one, 31.0, 1) for one in devices])

    await rig.look(280)
    assert len(rig.payloads(tenant, "notice.raised")) == 1
    await rig.look(20)

    first, second = rig.payloads(tenant, "notice.raised")
    assert first["title"] == "2 alerts, the first of Also"
    assert "Hot: Lamp, temp: 31" in first["text"]
    assert second["title"] == "48 alerts, the first of Also"
    assert second["text"].endswith("and 28 more")
    assert first["patience_seconds"] == 0


async def test_the_first_acknowledgement_stands_and_is_audited_once(rig: Rig) -> None:
    tenant, other = rig.tenant(), rig.tenant()
    device = rig.device(tenant)
    await rig.rule(tenant)
    await rig.judging.judge([rig.reading(tenant, device, 31.0)])
    [(alert,)] = rig.superuser.execute(
        "SELECT alert_id FROM alerts WHERE tenant_id = %s", [tenant]
    ).fetchall()

    def asked(of: UUID, actor: str) -> calls.AcknowledgeRequest:
        return calls.AcknowledgeRequest(tenant_id=of, actor_id=actor, alert_id=alert)

    first = await rig.deciding.acknowledge(asked(tenant, "alice"))
    rig.now += timedelta(seconds=5)
    second = await rig.deciding.acknowledge(asked(tenant, "bob"))
    with pytest.raises(NotFound):
        await rig.deciding.acknowledge(asked(other, "mallory"))

    assert first == second
    audited = rig.superuser.execute(
        "SELECT actor_id FROM audit_log WHERE tenant_id = %s AND action = 'alert.acknowledge'",
        [tenant],
    )
    assert audited.fetchall() == [("alice",)]


async def test_rules_are_bounded_and_asking_again_makes_one(rig: Rig) -> None:
    tenant = rig.tenant()
    for _ in range(MOST_RULES):
        await rig.rule(tenant)

    with pytest.raises(Conflict):
        await rig.rule(tenant)


async def test_a_deleted_rule_leaves_a_cleared_history(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    rule = await rig.rule(tenant)
    await rig.judging.judge([rig.reading(tenant, device, 31.0)])

    await rig.deciding.delete(
        calls.DeleteRuleRequest(tenant_id=tenant, actor_id="alice", rule_id=rule)
    )

    assert rig.alerts(tenant) == [(device, "rule_changed")]
    assert rig.told(tenant) == ["alert.raised", "alert.cleared"]


async def test_a_tenant_without_rules_costs_one_query_a_minute(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    await rig.judging.judge([rig.reading(tenant, device, 31.0)])
    await rig.database.close()

    await rig.judging.judge([rig.reading(tenant, device, 31.0)])

    rig.rules.forget(tenant)
    with pytest.raises(Unavailable):
        await rig.judging.judge([rig.reading(tenant, device, 31.0)])
