"""The rules on metrics that hold now, kept in memory: a tenant without any costs its readings next to nothing.

Changes of rules and groups are pushed; what is missed on the way is read within a minute.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from ingest_worker.alerts import store
from pulse_common.events import Event
from pulse_common.events_alerts import AlertRulesChanged
from pulse_common.events_groups import DeviceGroupsChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from uuid import UUID

    from ingest_worker.alerts.rules import Rule
    from pulse_common.bus import Bus
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

FRESH_SECONDS = 60.0
ByMetric = dict[str, list["Rule"]]
_NONE: ByMetric = {}


@dataclass(slots=True)
class KnownRules:
    database: Database
    monotonic: Callable[[], float] = time.monotonic
    _known: dict[UUID, tuple[float, ByMetric]] = field(default_factory=dict)
    _pushed: int = 0

    async def listen(self, bus: Bus) -> None:
        for kind in (AlertRulesChanged, DeviceGroupsChanged):
            await bus.subscribe_live(kind.subject, self.on_message)

    async def on_message(self, _subject: str, data: bytes) -> None:
        try:
            self.forget(Event.model_validate_json(data).tenant_id)
        except ValidationError:
            log.warning("alert_rules_event_unreadable")

    def forget(self, tenant: UUID) -> None:
        self._pushed += 1
        self._known.pop(tenant, None)

    async def of(self, tenants: Collection[UUID]) -> Mapping[UUID, ByMetric]:
        """Return the rules of these tenants, by metric; what is not known is read in one transaction.

        Raises:
            Unavailable: the database is away.
        """
        now = self.monotonic()
        old = [one for one in tenants if now - self._known.get(one, (-1e9,))[0] >= FRESH_SECONDS]
        read: dict[UUID, ByMetric] = {}
        if old:
            pushed = self._pushed
            async with self.database.service_connection("pulse_ingest") as tx:
                read = _by_metric(old, await store.list_rules(tx, old))
            if pushed == self._pushed:  # else some of it may be old already: good for once
                self._known.update((tenant, (now, found)) for tenant, found in read.items())
        return {one: read[one] if one in read else self._kept(one) for one in tenants}

    def _kept(self, tenant: UUID) -> ByMetric:
        return self._known[tenant][1] if tenant in self._known else _NONE


def _by_metric(tenants: Collection[UUID], rules: Sequence[Rule]) -> dict[UUID, ByMetric]:
    found: dict[UUID, ByMetric] = {tenant: {} for tenant in tenants}
    for rule in rules:
        found[rule.tenant_id].setdefault(rule.metric, []).append(rule)
    return found
