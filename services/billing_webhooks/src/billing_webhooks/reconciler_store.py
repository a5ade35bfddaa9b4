"""The reconciler's own SQL: everything that is held of every tenant, and what its runs found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pulse_common.tenancy import Row, Tx


async def events_through(tx: Tx) -> datetime | None:
    """Up to when every event is known to be handled; None before the first run."""
    row = await tx.one("SELECT max(events_through) AS through FROM billing_reconciliations")
    through: datetime | None = row["through"]
    return through


async def save_run(
    tx: Tx, run: Mapping[str, object], findings: Sequence[Mapping[str, object]]
) -> None:
    await tx.execute(
        """
        INSERT INTO billing_reconciliations (run_id, started_at, finished_at, events_through, checked, findings)
        VALUES (%(run_id)s, %(started_at)s, %(finished_at)s, %(events_through)s, %(checked)s, %(findings)s::jsonb)
        """,
        {**run, "findings": json.dumps(list(findings))},
    )


async def all_subscriptions(tx: Tx) -> dict[str, Row]:
    rows = await tx.all(
        """
        SELECT tenant_id, subscription_id, status, price_ids, plan_id, quantity, cancel_at_period_end,
               current_period_end, trial_end
          FROM billing_subscriptions
        """
    )
    return {row["subscription_id"]: row for row in rows}
