"""What the platform does by itself: how far each kind of work is, and when that counts as late."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ui_iot import operator_job_store as store
from ui_iot.operator_job_models import Job

if TYPE_CHECKING:
    from datetime import datetime

    from pulse_common.tenancy import OperatorTx

#: How long work of a kind may wait, or since when it may not have been done, before it counts as late.
SECONDS = timedelta(seconds=60)
HOURS = timedelta(hours=2)
DAY = timedelta(hours=26)


async def find_jobs(tx: OperatorTx) -> list[Job]:
    now = await store.now(tx)
    return [
        *await _evidence(tx, now),
        *await _money(tx, now),
        *await _tenants(tx, now),
        *await _upkeep(tx, now),
    ]


async def _evidence(tx: OperatorTx, now: datetime) -> list[Job]:
    sealing, lists = await store.sealing(tx), await store.lists(tx)
    heads = [
        _waits(f"audit heads: {row['place']}", "seals that this place has not", row, now, SECONDS)
        for row in await store.heads(tx)
    ]
    return [
        _waits("audit sealing", "rows that no head covers yet", sealing, now, SECONDS),
        *heads,
        Job(
            name="revocation lists",
            about="revocations that no list has yet; the oldest list's age",
            late=_is_before(lists["oldest_at"], now - HOURS),
            **lists,
        ),
        _probed(await store.probes(tx), now),
        *[_rolling(row, now) for row in await store.rollovers(tx)],
    ]


async def _money(tx: OperatorTx, now: datetime) -> list[Job]:
    reconciled = await store.reconciled(tx) or {}
    last_at = reconciled.get("last_at")
    return [
        Job(
            name="billing reconciliation",
            about="differences that the last run found",
            late=_is_before(last_at, now - DAY),
            **reconciled,
        ),
        Job(name="Stripe events", about="the last one handled", **await store.stripe_handled(tx)),
        _waits("usage for Stripe", "amounts not reported", await store.metered(tx), now, DAY),
    ]


async def _tenants(tx: OperatorTx, now: datetime) -> list[Job]:
    purges, imports, mails = (
        await store.purges(tx),
        await store.imports(tx),
        await store.mails(tx),
    )
    return [
        _waits("purges", "tenants whose grace is over; the next one's day", purges, now, HOURS),
        _waits("imports", "bulk imports that upload or run", imports, now, HOURS),
        _waits("mails", "notices not mailed; when the first was due", mails, now, HOURS),
    ]


async def _upkeep(tx: OperatorTx, now: datetime) -> list[Job]:
    days, months = await store.prepared_days(tx), await store.prepared_months(tx)
    outboxes = [
        _waits(f"outbox: {row['producer']}", "events not published yet", row, now, SECONDS)
        for row in await store.outboxes(tx)
    ]
    return [
        Job(
            name="telemetry partitions",
            about="the last day that is prepared",
            last_at=days,
            late=days is None or days < now + timedelta(days=2),
        ),
        Job(
            name="audit partitions",
            about="the last month that is prepared",
            last_at=months,
            late=months is None or months < now,
        ),
        *outboxes,
    ]


def _waits(name: str, about: str, row: dict[str, Any], now: datetime, longest: timedelta) -> Job:
    """Describe work that is late when what has waited longest has waited for too long."""
    return Job(
        name=name,
        about=about,
        last_at=row.get("last_at"),
        waiting=row["waiting"],
        oldest_at=row["oldest_at"],
        late=row["waiting"] > 0 and _is_before(row["oldest_at"], now - longest),
    )


def _probed(row: dict[str, Any], now: datetime) -> Job:
    """Describe what the broker meets at the lists' addresses: any that it cannot use is late."""
    return Job(
        name="revocation lists at their addresses",
        about="lists that could not be read or used there; when the prober last looked",
        late=row["waiting"] > 0 or _is_before(row["last_at"], now - HOURS),
        **row,
    )


def _rolling(row: dict[str, Any], now: datetime) -> Job:
    """Describe a roll-over that is under way; a step waits for an operator, so only draining can be late."""
    return Job(
        name=f"roll-over: {row['profile']}",
        about=f"{row['state'].replace('_', ' ')}; since when",
        last_at=row["last_at"],
        late=row["state"] == "draining" and _is_before(row["drained_at"], now),
    )


def _is_before(at: datetime | None, limit: datetime) -> bool:
    return at is not None and at < limit
