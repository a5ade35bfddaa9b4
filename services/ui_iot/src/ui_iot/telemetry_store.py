"""The SQL about readings over time, and about what was refused, limited and commanded; all under the tenant's role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import Row, TenantTx


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    device_id: UUID
    since: datetime
    until: datetime
    metric: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: what comes after is older, or as old with a smaller id."""

    at: datetime
    id: UUID


async def readings(tx: TenantTx, wanted: Range, after: Place | None, limit: int) -> Sequence[Row]:
    return await tx.all(
        """
        SELECT ts, received_at, message_id,
               CASE WHEN %(metric)s::text IS NULL THEN metrics
                    ELSE jsonb_build_object(%(metric)s::text, metrics -> %(metric)s::text) END AS metrics
          FROM telemetry
         WHERE tenant_id = %(tenant)s AND device_id = %(device)s AND ts >= %(since)s AND ts < %(until)s
           AND (%(metric)s::text IS NULL OR metrics ? %(metric)s::text)
           AND (%(at)s::timestamptz IS NULL OR (ts <= %(at)s AND (ts, message_id) < (%(at)s, %(id)s)))
         ORDER BY ts DESC, message_id DESC
         LIMIT %(limit)s
        """,
        {**_range(tx, wanted), **_place(after), "limit": limit},
    )


async def buckets(tx: TenantTx, wanted: Range, seconds: int, limit: int) -> Sequence[Row]:
    return await tx.all(
        """
        -- As numeric: the average of floats squares them on its way, and overflows.
        SELECT to_timestamp(floor(extract(epoch FROM ts) / %(seconds)s) * %(seconds)s) AS start,
               count(*) AS count, min(value) AS minimum, avg(value::numeric)::float8 AS average, max(value) AS maximum
          FROM (SELECT ts, CASE WHEN jsonb_typeof(metrics -> %(metric)s) = 'number'
                                THEN (metrics -> %(metric)s)::float8 END AS value
                  FROM telemetry
                 WHERE tenant_id = %(tenant)s AND device_id = %(device)s AND ts >= %(since)s
                   AND ts < %(until)s) r
         WHERE value IS NOT NULL
         GROUP BY 1
         ORDER BY 1
         LIMIT %(limit)s
        """,
        {**_range(tx, wanted), "seconds": seconds, "limit": limit},
    )


async def dead_letters(
    tx: TenantTx, device_id: UUID | None, after: Place | None, limit: int
) -> Sequence[Row]:
    return await tx.all(
        """
        SELECT letter_id, device_id, kind, reason, received_at, size_bytes, payload, detail
          FROM refused_messages
         WHERE tenant_id = %(tenant)s AND (%(device)s::uuid IS NULL OR device_id = %(device)s)
           AND (%(at)s::timestamptz IS NULL OR (received_at, letter_id) < (%(at)s, %(id)s))
         ORDER BY received_at DESC, letter_id DESC
         LIMIT %(limit)s
        """,
        {"tenant": tx.tenant, "device": device_id, **_place(after), "limit": limit},
    )


async def limits(tx: TenantTx, device_id: UUID | None, limit: int) -> Sequence[Row]:
    """Return receipts, the latest first; of one device: those of its tenant's buckets too, which it shares."""
    return await tx.all(
        """
        SELECT device_id, bucket, outcome, since, until, refills_at, messages, bytes AS size_bytes
          FROM limit_receipts
         WHERE tenant_id = %(tenant)s
           AND (%(device)s::uuid IS NULL OR device_id = %(device)s OR device_id IS NULL)
         ORDER BY until DESC, receipt_id DESC
         LIMIT %(limit)s
        """,
        {"tenant": tx.tenant, "device": device_id, "limit": limit},
    )


async def commands(tx: TenantTx, device_id: UUID, after: Place | None, limit: int) -> Sequence[Row]:
    return await tx.all(
        """
        SELECT command_id, name, arguments, actor_id, state, created_at, expires_at, settled_at, result
          FROM commands
         WHERE tenant_id = %(tenant)s AND device_id = %(device)s
           AND (%(at)s::timestamptz IS NULL OR (created_at, command_id) < (%(at)s, %(id)s))
         ORDER BY created_at DESC, command_id DESC
         LIMIT %(limit)s
        """,
        {"tenant": tx.tenant, "device": device_id, **_place(after), "limit": limit},
    )


def _range(tx: TenantTx, wanted: Range) -> dict[str, object]:
    return {
        "tenant": tx.tenant,
        "device": wanted.device_id,
        "since": wanted.since,
        "until": wanted.until,
        "metric": wanted.metric,
    }


def _place(after: Place | None) -> dict[str, object]:
    return {"at": after.at if after else None, "id": after.id if after else None}
