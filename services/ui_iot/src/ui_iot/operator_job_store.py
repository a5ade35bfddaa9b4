"""The SQL of what operators see of the work that runs by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pulse_common.tenancy import OperatorTx

    Row = dict[str, Any]

# Rows of transactions from `xid_to` on are not sealed yet; this one's own are among them.
_SEALING = """
    SELECT (SELECT max(sealed_at) FROM audit_seal_runs) AS last_at, count(*) AS waiting, min(u.at) AS oldest_at
      FROM (SELECT a.at FROM audit_log a
             WHERE a.xid >= (SELECT coalesce(max(xid_to), '0'::xid8) FROM audit_seal_runs) LIMIT 10001) u
"""
_HEADS = """
    SELECT c.place, max(s.sealed_at) AS newest_at, count(s.seal_id) AS waiting, min(s.sealed_at) AS oldest_at
      FROM audit_cursors c
      LEFT JOIN LATERAL (SELECT seal_id, sealed_at FROM audit_seals
                          WHERE seal_id > c.seal_id ORDER BY seal_id LIMIT 10001) s ON true
     GROUP BY c.place
     ORDER BY c.place
"""
_LISTS = """
    SELECT max(this_update) AS last_at, min(this_update) AS oldest_at, (SELECT count(*) FROM crl_pending) AS waiting
      FROM crl_shards
     WHERE issuer_id IN (SELECT issuer_id FROM issuers WHERE not_after > now())
"""
# What the prober met last; a list that nobody makes any more is not probed either.
_PROBES = """
    SELECT max(probed_at) AS last_at, count(*) FILTER (WHERE probe_outcome <> 'good') AS waiting,
           min(probed_at) FILTER (WHERE probe_outcome <> 'good') AS oldest_at
      FROM crl_shards
     WHERE probed_at > now() - interval '1 day'
"""
_ROLLOVERS = """
    SELECT profile, state, changed_at AS last_at, draining_at + make_interval(days => drain_days) AS drained_at
      FROM rollovers
     WHERE state NOT IN ('retired', 'cancelled')
     ORDER BY profile
"""
# Since when a mail could have gone; a digest also waits for company, which is less than what counts as late.
_MAILS = """
    SELECT (SELECT max(told_at) FROM notices) AS last_at, count(*) AS waiting, min(u.due_at) AS oldest_at
      FROM (SELECT raised_at + make_interval(secs => patience_seconds) AS due_at
              FROM notices WHERE told_at IS NULL LIMIT 10001) u
"""
_RECONCILED = """
    SELECT finished_at AS last_at,
           jsonb_array_length(CASE jsonb_typeof(findings) WHEN 'array' THEN findings ELSE '[]' END) AS waiting
      FROM billing_reconciliations
     ORDER BY finished_at DESC
     LIMIT 1
"""
_STRIPE = "SELECT max(handled_at) AS last_at FROM stripe_events"
_METERED = """
    SELECT (SELECT max(sent_at) FROM billing_meter_events) AS last_at, count(*) AS waiting,
           min(u.created_at) AS oldest_at
      FROM (SELECT created_at FROM billing_meter_events WHERE sent_at IS NULL LIMIT 10001) u
"""
_PURGES = """
    SELECT count(*) FILTER (WHERE purge_after <= now()) AS waiting, min(purge_after) AS oldest_at
      FROM tenants
     WHERE status IN ('deleting', 'deleted') AND purge_after IS NOT NULL
"""
_IMPORTS = """
    SELECT max(finished_at) AS last_at, count(*) FILTER (WHERE state IN ('uploading', 'running')) AS waiting,
           min(created_at) FILTER (WHERE state = 'running') AS oldest_at
      FROM device_imports
"""
_OUTBOX = """
    SELECT p.producer::text AS producer, w.waiting, w.oldest_at
      FROM (SELECT DISTINCT producer FROM outbox) p
      CROSS JOIN LATERAL (SELECT count(*) AS waiting, min(created_at) AS oldest_at
                            FROM outbox o WHERE o.producer = p.producer AND o.sent_at IS NULL) w
     ORDER BY 1
"""
# The catalogue, which everybody may read: the newest partition ends what is prepared.
_PREPARED = """
    SELECT to_date(right(max(c.relname), %(digits)s), %(format)s)::timestamptz AS last_at
      FROM pg_inherits i
      JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = to_regclass(%(table)s) AND c.relname NOT LIKE '%%default'
"""


async def now(tx: OperatorTx) -> datetime:
    """Return the database's time, which the times of its rows are to be compared with."""
    found: datetime = (await tx.one("SELECT now() AS now"))["now"]
    return found


async def sealing(tx: OperatorTx) -> Row:
    return await tx.one(_SEALING)


async def heads(tx: OperatorTx) -> Sequence[Row]:
    return await tx.all(_HEADS)


async def lists(tx: OperatorTx) -> Row:
    return await tx.one(_LISTS)


async def probes(tx: OperatorTx) -> Row:
    return await tx.one(_PROBES)


async def rollovers(tx: OperatorTx) -> Sequence[Row]:
    return await tx.all(_ROLLOVERS)


async def mails(tx: OperatorTx) -> Row:
    return await tx.one(_MAILS)


async def reconciled(tx: OperatorTx) -> Row | None:
    return await tx.one_or_none(_RECONCILED)


async def stripe_handled(tx: OperatorTx) -> Row:
    return await tx.one(_STRIPE)


async def metered(tx: OperatorTx) -> Row:
    return await tx.one(_METERED)


async def purges(tx: OperatorTx) -> Row:
    return await tx.one(_PURGES)


async def imports(tx: OperatorTx) -> Row:
    return await tx.one(_IMPORTS)


async def outboxes(tx: OperatorTx) -> Sequence[Row]:
    return await tx.all(_OUTBOX)


async def prepared_days(tx: OperatorTx) -> datetime | None:
    return await _prepared(tx, "public.telemetry", "YYYYMMDD")


async def prepared_months(tx: OperatorTx) -> datetime | None:
    return await _prepared(tx, "public.audit_log", "YYYYMM")


async def _prepared(tx: OperatorTx, table: str, form: str) -> datetime | None:
    found = await tx.one(_PREPARED, {"table": table, "format": form, "digits": len(form)})
    last_at: datetime | None = found["last_at"]
    return last_at
