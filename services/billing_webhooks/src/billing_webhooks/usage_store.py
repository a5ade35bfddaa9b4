"""Every SQL statement about what tenants use: messages as ingest_worker counts them, devices; both are metered."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from uuid import UUID

    from pulse_common.tenancy import Row, TenantTx, Tx


async def try_lock(tx: Tx, name: str) -> bool:
    """Be the only replica at this work until the transaction ends; False when another one is."""
    row = await tx.one(
        "SELECT pg_try_advisory_xact_lock(hashtextextended('pulse.billing.work.' || %(name)s, 0)) AS held",
        {"name": name},
    )
    return bool(row["held"])


async def stay(tx: Tx) -> None:
    """Keep a waiting transaction, and the lock that it holds, from being ended as idle."""
    await tx.one("SELECT 1 AS here")


async def count_device_months(tx: Tx, month: date) -> int:
    """Count the devices that have sent anything in ``month``, which is not over: by the newest reading of each.

    A month's readings are too many to be looked at again and again.
    """
    return await tx.execute(
        """
        INSERT INTO billing_usage AS held (tenant_id, metric, day, amount)
        SELECT tenant_id, 'device_months', %(month)s::date, count(*)
          FROM device_last_state
         WHERE ts >= %(month)s::timestamp AT TIME ZONE 'UTC'
           AND tenant_id IN (SELECT t.tenant_id FROM tenants t)
         GROUP BY 1
        ON CONFLICT (tenant_id, metric, day) DO UPDATE SET amount = excluded.amount
         WHERE excluded.amount > held.amount
        """,
        {"month": month},
    )


async def list_tenants(tx: Tx) -> list[UUID]:
    return [
        row["tenant_id"] for row in await tx.all("SELECT tenant_id FROM tenants ORDER BY tenant_id")
    ]


async def count_device_months_by_readings(tx: TenantTx, month: date) -> int:
    """Count a tenant's devices that sent anything in a month that is over: late ones have no newest reading there.

    A look for each device, which ends at its first reading: a month's readings are too many to be looked at.
    """
    return await tx.execute(
        """
        INSERT INTO billing_usage AS held (tenant_id, metric, day, amount)
        SELECT %(tenant)s, 'device_months', %(month)s::date, count(*)
          FROM devices d
         WHERE d.tenant_id = %(tenant)s
           AND EXISTS (SELECT FROM telemetry r
                        WHERE r.tenant_id = %(tenant)s AND r.device_id = d.device_id
                          AND r.ts >= %(month)s::timestamp AT TIME ZONE 'UTC'
                          AND r.ts < (%(month)s::timestamp + interval '1 month') AT TIME ZONE 'UTC')
        HAVING count(*) > 0
        ON CONFLICT (tenant_id, metric, day) DO UPDATE SET amount = excluded.amount
         WHERE excluded.amount > held.amount
        """,
        {"tenant": tx.tenant, "month": month},
    )


async def prepare_meter_events(tx: Tx, today: date) -> int:
    """Write down what is to be metered, once: the identifier says from which amount on.

    A day is metered when it is over, a month's devices as they come.  Only for who is Stripe's customer.
    """
    return await tx.execute(
        """
        WITH due AS (
            SELECT u.tenant_id, u.metric, u.day, u.amount, u.metered
              FROM billing_usage u
              JOIN billing_customers c ON c.tenant_id = u.tenant_id AND c.deleted_at IS NULL
             WHERE u.amount > u.metered AND (u.metric = 'device_months' OR u.day < %(today)s)
               AND u.day > %(today)s - 35
               FOR UPDATE OF u
        ), metered AS (
            UPDATE billing_usage u SET metered = due.amount
              FROM due
             WHERE (u.tenant_id, u.metric, u.day) = (due.tenant_id, due.metric, due.day)
        )
        INSERT INTO billing_meter_events (tenant_id, identifier, metric, day, amount)
        SELECT tenant_id, concat_ws(':', tenant_id, metric, day, metered), metric, day, amount - metered FROM due
        """,
        {"today": today},
    )


async def next_meter_event(tx: Tx, today: date, refused_before: datetime) -> Row | None:
    """Take one that was not sent; other replicas take others.  Stripe takes none older than 35 days."""
    return await tx.one_or_none(
        """
        SELECT m.tenant_id, m.identifier, m.metric, m.day, m.amount, m.created_at, c.customer_id
          FROM billing_meter_events m
          JOIN billing_customers c ON c.tenant_id = m.tenant_id
         WHERE m.sent_at IS NULL AND c.deleted_at IS NULL AND m.day > %(today)s - 35
           AND (m.refused_at IS NULL OR m.refused_at <= %(refused_before)s)
         ORDER BY m.created_at
         LIMIT 1
           FOR UPDATE OF m SKIP LOCKED
        """,
        {"today": today, "refused_before": refused_before},
    )


async def meter_event_refused(tx: Tx, identifier: str, now: datetime) -> None:
    await tx.execute(
        "UPDATE billing_meter_events SET refused_at = %(now)s WHERE identifier = %(identifier)s",
        {"identifier": identifier, "now": now},
    )


async def unsent_meter_events(tx: Tx, before: datetime) -> list[tuple[str, UUID]]:
    """Name those that have waited since ``before``: refused, of a customer that is gone, or too old for Stripe."""
    rows = await tx.all(
        """
        SELECT identifier, tenant_id
          FROM billing_meter_events
         WHERE sent_at IS NULL AND created_at < %(before)s
         ORDER BY created_at
         LIMIT 1000
        """,
        {"before": before},
    )
    return [(row["identifier"], row["tenant_id"]) for row in rows]


async def meter_event_sent(tx: Tx, identifier: str, now: datetime) -> None:
    await tx.execute(
        "UPDATE billing_meter_events SET sent_at = %(now)s WHERE identifier = %(identifier)s",
        {"identifier": identifier, "now": now},
    )


async def messages_of_month(tx: TenantTx, month: date) -> int:
    row = await tx.one(
        """
        SELECT coalesce(sum(amount), 0)::bigint AS used
          FROM billing_usage
         WHERE tenant_id = %(tenant)s AND metric = 'messages'
           AND day >= %(month)s::date AND day < %(month)s::date + interval '1 month'
        """,
        {"tenant": tx.tenant, "month": month},
    )
    return int(row["used"])


async def devices_of(tx: TenantTx) -> int:
    row = await tx.one(
        "SELECT count(*) AS used FROM devices WHERE tenant_id = %(tenant)s AND NOT given_away",
        {"tenant": tx.tenant},
    )
    return int(row["used"])


async def near_limits(tx: Tx, month: date) -> Sequence[UUID]:
    """Name the tenants that use at least half of their messages or devices."""
    rows = await tx.all(
        """
        SELECT e.tenant_id
          FROM billing_entitlements e
          LEFT JOIN LATERAL (
               SELECT sum(u.amount) AS used FROM billing_usage u
                WHERE u.tenant_id = e.tenant_id AND u.metric = 'messages'
                  AND u.day >= %(month)s::date AND u.day < %(month)s::date + interval '1 month') m ON true
          LEFT JOIN LATERAL (
               SELECT count(*) AS used FROM devices d WHERE d.tenant_id = e.tenant_id AND NOT d.given_away) d ON true
         WHERE m.used * 2 >= e.messages_per_month OR (d.used > 0 AND d.used * 2 >= e.devices)
        """,
        {"month": month},
    )
    return [row["tenant_id"] for row in rows]
