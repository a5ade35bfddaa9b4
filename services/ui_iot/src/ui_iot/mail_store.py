"""Every SQL statement about what is mailed: the notices, and who wants none of a topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.notices import NoticeRaised
    from pulse_common.tenancy import Row, TenantTx, Tx

GATHER_SECONDS = 900
CLAIM_SECONDS = 600
MOST_TRIES = 2
"""Claims whose outcome nobody wrote down: the second one may repeat a mail, and there is no third."""
MOST_CLAIMED = 200
KEEP_DAYS = 90

_KEEP = """
    INSERT INTO notices (tenant_id, notice_id, topic, notice_key, title, body, path, recipients, patience_seconds,
                         raised_at)
    VALUES (%(tenant_id)s, %(notice_id)s, %(topic)s, %(notice_key)s, %(title)s, %(body)s, %(path)s, %(recipients)s,
            %(patience)s, %(raised_at)s)
    ON CONFLICT (tenant_id, topic, notice_key) DO NOTHING
"""
# One claims at a time: two replicas must not each take a half of a tenant's digest.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('pulse.ui_iot.notices'))"
_CLAIM_URGENT = """
    UPDATE notices
       SET claimed_until = %(now)s + make_interval(secs => %(claim)s), unsure = unsure + 1
     WHERE (tenant_id, notice_id) IN (
           SELECT tenant_id, notice_id
             FROM notices
            WHERE told_at IS NULL AND patience_seconds = 0 AND unsure < %(tries)s
              AND (claimed_until IS NULL OR claimed_until <= %(now)s)
            ORDER BY raised_at
            LIMIT 1)
    RETURNING tenant_id, notice_id, topic, title, body, path, recipients, told_to, raised_at
"""
# A digest goes out some time after its first notice, so that it has more than one, and not before the last digest is as
# old as the least patient one waits.
_CLAIM_DIGEST = """
    WITH due AS (
        SELECT n.tenant_id
          FROM notices n
         WHERE n.told_at IS NULL AND n.patience_seconds > 0 AND n.unsure < %(tries)s
         GROUP BY n.tenant_id
        HAVING min(n.raised_at) <= %(now)s - make_interval(secs => %(gather)s)
           AND coalesce(max(n.claimed_until), '-infinity') <= %(now)s
           AND coalesce((SELECT max(t.told_at) FROM notices t
                          WHERE t.tenant_id = n.tenant_id AND t.told_at IS NOT NULL AND t.patience_seconds > 0),
                        '-infinity')
               <= %(now)s - make_interval(secs => min(n.patience_seconds))
         ORDER BY min(n.raised_at)
         LIMIT 1)
    UPDATE notices
       SET claimed_until = %(now)s + make_interval(secs => %(claim)s), unsure = unsure + 1
     WHERE (tenant_id, notice_id) IN (
           SELECT n.tenant_id, n.notice_id
             FROM notices n
             JOIN due USING (tenant_id)
            WHERE n.told_at IS NULL AND n.patience_seconds > 0 AND n.unsure < %(tries)s
            ORDER BY n.raised_at
            LIMIT %(most)s)
    RETURNING tenant_id, notice_id, topic, title, body, path, recipients, told_to, raised_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One that was claimed; ``told_to`` have it already."""

    tenant_id: UUID
    notice_id: UUID
    topic: str
    title: str
    body: str
    path: str
    recipients: tuple[str, ...]
    told_to: frozenset[str]
    raised_at: datetime


async def keep(tx: Tx, event: NoticeRaised) -> bool:
    """Keep a notice; False when one with its key is known."""
    values = {
        "tenant_id": event.tenant_id,
        "notice_id": new_id(),
        "topic": event.topic,
        "notice_key": event.notice_key,
        "title": event.title,
        "body": event.text,
        "path": event.path,
        "recipients": event.to,
        "patience": event.patience_seconds,
        "raised_at": event.at,
    }
    return await tx.execute(_KEEP, values) == 1


async def claim_mail(tx: Tx, now: datetime) -> list[Notice]:
    """Claim what goes into the next mail: one urgent notice, or a tenant's digest; nothing when nothing is due."""
    await tx.one(_LOCK)
    values = {
        "now": now,
        "claim": CLAIM_SECONDS,
        "tries": MOST_TRIES,
        "gather": GATHER_SECONDS,
        "most": MOST_CLAIMED,
    }
    rows = await tx.all(_CLAIM_URGENT, values) or await tx.all(_CLAIM_DIGEST, values)
    return sorted((_notice(row) for row in rows), key=lambda one: (one.raised_at, one.notice_id))


async def note_told(tx: Tx, notices: Sequence[Notice], address: str) -> None:
    """Note that an address has these."""
    await tx.execute(
        """
        UPDATE notices SET told_to = array_append(told_to, %(address)s)
         WHERE tenant_id = %(tenant_id)s AND notice_id = ANY(%(ids)s)
        """,
        _ids(notices) | {"address": address},
    )


async def finish(tx: Tx, notices: Sequence[Notice], now: datetime) -> None:
    await tx.execute(
        """
        UPDATE notices SET told_at = %(now)s, claimed_until = NULL, unsure = 0
         WHERE tenant_id = %(tenant_id)s AND notice_id = ANY(%(ids)s)
        """,
        _ids(notices) | {"now": now},
    )


async def release(tx: Tx, notices: Sequence[Notice], until: datetime) -> None:
    """Let these be claimed again from ``until`` on: whoever claimed them knows what went out."""
    await tx.execute(
        """
        UPDATE notices SET claimed_until = %(until)s, unsure = unsure - 1
         WHERE tenant_id = %(tenant_id)s AND notice_id = ANY(%(ids)s)
        """,
        _ids(notices) | {"until": until},
    )


async def give_up(tx: Tx, now: datetime) -> int:
    """End those that two claims died over: they were mailed, or somebody is told by the log."""
    return await tx.execute(
        """
        UPDATE notices SET told_at = %(now)s, claimed_until = NULL
         WHERE told_at IS NULL AND unsure >= %(tries)s AND claimed_until <= %(now)s
        """,
        {"now": now, "tries": MOST_TRIES},
    )


async def forget_old(tx: Tx, now: datetime) -> int:
    return await tx.execute(
        "DELETE FROM notices WHERE told_at < %(now)s - make_interval(days => %(days)s)",
        {"now": now, "days": KEEP_DAYS},
    )


async def refusals_of(tx: TenantTx, address: str) -> frozenset[str]:
    """Return the topics that an address wants no mails about."""
    rows = await tx.all(
        "SELECT topic FROM notice_refusals WHERE address = lower(%(address)s)",
        {"address": address},
    )
    return frozenset(row["topic"] for row in rows)


async def refuse(tx: TenantTx, address: str, topics: Sequence[str]) -> None:
    await tx.execute(
        """
        INSERT INTO notice_refusals (tenant_id, address, topic)
        SELECT %(tenant_id)s, lower(%(address)s), topic FROM unnest(%(topics)s::text[]) AS topic
        ON CONFLICT DO NOTHING
        """,
        {"tenant_id": tx.tenant, "address": address, "topics": list(topics)},
    )


async def list_refusals(tx: TenantTx) -> list[tuple[str, str]]:
    """Return who of this tenant wants no mails about what."""
    rows = await tx.all("SELECT address, topic FROM notice_refusals ORDER BY address, topic")
    return [(row["address"], row["topic"]) for row in rows]


async def end_refusal(tx: TenantTx, address: str, topic: str) -> bool:
    """Mail somebody about a topic again; False when they never refused."""
    return bool(
        await tx.execute(
            "DELETE FROM notice_refusals WHERE address = %(address)s AND topic = %(topic)s",
            {"address": address, "topic": topic},
        )
    )


def _ids(notices: Sequence[Notice]) -> dict[str, object]:
    """All of one mail are of one tenant."""
    return {"tenant_id": notices[0].tenant_id, "ids": [one.notice_id for one in notices]}


def _notice(row: Row) -> Notice:
    return Notice(
        tenant_id=row["tenant_id"],
        notice_id=row["notice_id"],
        topic=row["topic"],
        title=row["title"],
        body=row["body"],
        path=row["path"],
        recipients=tuple(row["recipients"]),
        told_to=frozenset(row["told_to"]),
        raised_at=row["raised_at"],
    )
