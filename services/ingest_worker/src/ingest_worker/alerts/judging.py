"""From stored readings to alerts: judged once a batch, changed in one transaction for each tenant concerned.

A batch comes here after its commit and before its acknowledgement, so it comes again after a crash; what was judged
before changes nothing then (``rules.judge``), and an alert that is open is not opened twice (``alerts_open``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ingest_worker import metrics
from ingest_worker.alerts import store
from ingest_worker.alerts.later_store import find_later
from ingest_worker.alerts.rules import FRESH, Standing, Value, judge
from ingest_worker.alerts.store import Judged
from pulse_common import outbox
from pulse_common.errors import Unavailable
from pulse_common.events_alerts import AlertCleared, AlertRaised
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from ingest_worker.alerts.known_rules import KnownRules
    from ingest_worker.alerts.rules import Change, Rule
    from ingest_worker.alerts.store import Pair
    from pulse_common.clock import Clock
    from pulse_common.events import Reading
    from pulse_common.tenancy import Database, Row, TenantTx

    Seen = dict[Pair, tuple[Rule, list[Value]]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    database: Database
    rules: KnownRules
    clock: Clock

    async def judge(self, readings: Sequence[Reading]) -> None:
        """Judge a stored batch.

        Raises:
            Unavailable: the database is away; the batch must come again.
        """
        try:
            await self._judge(readings)
        except Unavailable:
            raise
        except Exception:
            # A bug here must not hold up what is stored: that goes on, and this is looked at.
            metrics.ALERTS_CRASHED.inc()
            log.exception("judging_alerts_crashed")

    async def _judge(self, readings: Sequence[Reading]) -> None:
        seen = await self._seen(readings)
        if not seen:
            return
        async with self.database.service_connection("pulse_ingest") as tx:
            judged = _judge_all(seen, await store.find_standings(tx, list(seen)))
            quiet = [one for one in judged if not _is_lasting(one)]
            if quiet:
                await store.save_lasts(tx, quiet)
        lasting = [one.pair for one in judged if _is_lasting(one)]
        for tenant in sorted({pair[0] for pair in lasting}):
            mine = {pair: seen[pair] for pair in lasting if pair[0] == tenant}
            await self._change(TenantId(tenant), mine)

    async def _seen(self, readings: Sequence[Reading]) -> Seen:
        """Pick the values that a rule is about; strings and switches are none, and old ones say nothing of now."""
        rules = await self.rules.of({reading.tenant_id for reading in readings})
        oldest = self.clock() - FRESH
        seen: Seen = {}
        for reading in readings:
            for metric, about in rules[reading.tenant_id].items():
                value = reading.metrics.get(metric)
                if not isinstance(value, float) or reading.ts < oldest:
                    continue
                for rule in about:
                    if rule.concerns(reading.device_id):
                        pair = (reading.tenant_id, rule.rule_id, reading.device_id)
                        seen.setdefault(pair, (rule, []))[1].append(Value(reading.ts, value))
        return seen

    async def _change(self, tenant: TenantId, seen: Seen) -> None:
        """Judge again, now that nobody else changes anything of this tenant, and write what that comes to."""
        async with self.database.service_tenant_connection("pulse_ingest", tenant) as tx:
            await store.lock(tx)
            seen = await self._in_order(tx, seen)
            judged = _judge_all(seen, await store.find_standings(tx, list(seen)))
            lasting = [one for one in judged if _is_lasting(one)]
            if not lasting:
                return
            await store.save_standings(tx, lasting)
            # Changes of one device take turns: what is raised and cleared in one batch is told in that order.
            for turn in range(max(len(one.changes) for one in lasting)):
                now = [
                    (one.rule, one.pair[2], one.changes[turn])
                    for one in lasting
                    if turn < len(one.changes)
                ]
                await self._apply(tx, now)

    async def _in_order(self, tx: TenantTx, seen: Seen) -> Seen:
        """Add what is stored of later times: what comes late or was overtaken is judged as in its turn."""
        later = await find_later(tx, seen)
        return {
            pair: (rule, list(dict.fromkeys([*values, *later.get(pair, ())])))
            for pair, (rule, values) in seen.items()
        }

    async def _apply(self, tx: TenantTx, changes: Sequence[tuple[Rule, UUID, Change]]) -> None:
        raised = [one for one in changes if one[2].raised]
        cleared = [one for one in changes if not one[2].raised]
        if raised:
            rows = await store.raise_alerts(tx, raised, self.clock())
            await tell_raised(tx, rows, self.clock)
            await store.forget_old(tx)
        if cleared:
            await tell_cleared(tx, await store.clear_recovered(tx, cleared), self.clock)


async def tell_raised(tx: TenantTx, rows: Sequence[Row], clock: Clock) -> None:
    metrics.ALERTS.labels("raised").inc(len(rows))
    if rows:
        now = clock()
        await outbox.emit_all(tx, [AlertRaised(tenant_id=tx.tenant, at=now, **row) for row in rows])


async def tell_cleared(tx: TenantTx, rows: Sequence[Row], clock: Clock) -> None:
    metrics.ALERTS.labels("cleared").inc(len(rows))
    if rows:
        now = clock()
        told = [AlertCleared(tenant_id=tx.tenant, at=now, **row) for row in rows]
        await outbox.emit_all(tx, told)


@dataclass(frozen=True, slots=True)
class _Moved(Judged):
    before: Standing


def _judge_all(seen: Seen, standings: Mapping[Pair, Standing]) -> list[_Moved]:
    """Judge every pair, and leave out those that stay as they are."""
    judged = []
    for pair, (rule, values) in seen.items():
        before = standings.get(pair, Standing())
        after, changes = judge(rule, before, values)
        if after != before:
            judged.append(_Moved(pair, rule, after, changes, before))
    return judged


def _is_lasting(one: _Moved) -> bool:
    """Tell whether more moved than what the next rate is measured from."""
    return bool(one.changes) or one.standing.pending_since != one.before.pending_since
