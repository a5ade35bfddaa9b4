"""The SQL of what is stored of later times than readings that come late, or that were overtaken by others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest_worker.alerts.rules import Value
from ingest_worker.payload import FUTURE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingest_worker.alerts.rules import Rule
    from ingest_worker.alerts.store import Pair
    from pulse_common.tenancy import TenantTx

MOST_LATER = 1_000
"""Of one device, the newest; what is judged is at most five minutes old."""


async def find_later(
    tx: TenantTx, seen: Mapping[Pair, tuple[Rule, Sequence[Value]]]
) -> dict[Pair, list[Value]]:
    """Return the numbers of the same metrics that are stored since the oldest value of each pair."""
    pairs = dict(enumerate(seen))
    since = [min(value.ts for value in values) for _, values in seen.values()]
    rows = await tx.all(
        """
        SELECT n.place, t.ts, t.value
          FROM unnest(%(places)s::integer[], %(devices)s::uuid[], %(metrics)s::text[], %(since)s::timestamptz[])
               AS n (place, device_id, metric, since)
         CROSS JOIN LATERAL (
               SELECT ts, (metrics ->> n.metric)::float8 AS value
                 FROM telemetry
                WHERE tenant_id = %(tenant)s AND device_id = n.device_id
                  AND ts > n.since AND ts > %(first)s AND ts <= %(last)s
                  AND jsonb_typeof(metrics -> n.metric) = 'number'
                ORDER BY ts DESC LIMIT %(most)s) t
        """,
        {
            "tenant": tx.tenant,
            "places": list(pairs),
            "devices": [device for _, _, device in seen],
            "metrics": [rule.metric for rule, _ in seen.values()],
            "since": since,
            # Said once for all, so that days that cannot matter are not looked into.
            "first": min(since),
            "last": max(since) + FUTURE_LIMIT + FUTURE_LIMIT,
            "most": MOST_LATER,
        },
    )
    found: dict[Pair, list[Value]] = {}
    for row in rows:
        found.setdefault(pairs[row["place"]], []).append(Value(row["ts"], row["value"]))
    return found
