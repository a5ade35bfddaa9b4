"""The record of who did what: one row, written in the transaction of the act itself.

No audit row, no act; no act, no audit row.  Views and log-ins, which are many and change nothing, go through
``audit_observe`` instead; both ways end in the same table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pulse_common import origin
from pulse_common.audit_actions import Action, require_known
from pulse_common.audit_redaction import clean, clean_or_none, to_json, to_json_or_none
from pulse_common.ids import PLATFORM_TENANT, new_id
from pulse_common.tenancy import TenantTx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pulse_common.tenancy import Tx

__all__ = ["Act", "Action", "ActorKind", "Outcome", "record", "record_all"]

ActorKind = Literal["user", "service", "device", "operator", "anonymous"]
Outcome = Literal["success", "failure", "denied"]

_INSERT = """
    INSERT INTO audit_log (tenant_id, audit_id, actor_kind, actor_id, action, object_kind, object_id, outcome, reason,
                           address, user_agent, request_id, before, after, details)
    VALUES (%(tenant_id)s, %(audit_id)s, %(actor_kind)s, %(actor_id)s, %(action)s, %(object_kind)s, %(object_id)s,
            %(outcome)s, %(reason)s, %(address)s, %(user_agent)s, %(request_id)s, %(before)s::jsonb, %(after)s::jsonb,
            %(details)s::jsonb)
"""
# COPY refuses tables with row-level security, so many rows come as one JSON value.
_INSERT_ALL = """
    INSERT INTO audit_log (tenant_id, audit_id, actor_kind, actor_id, action, object_kind, object_id, outcome, reason,
                           address, user_agent, request_id, before, after, details)
    SELECT %(tenant_id)s, r.audit_id, r.actor_kind, r.actor_id, r.action, r.object_kind, r.object_id, r.outcome,
           r.reason, r.address, r.user_agent, r.request_id, r.before::jsonb, r.after::jsonb, r.details::jsonb
      FROM jsonb_to_recordset(%(rows)s::jsonb)
           AS r (audit_id uuid, actor_kind text, actor_id text, action text, object_kind text, object_id text,
                 outcome text, reason text, address text, user_agent text, request_id text, before text, after text,
                 details text)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that somebody did or tried.

    ``before`` and ``after`` tell what a change changed; what their names, or those in ``details``, call a secret is
    redacted on its way into the log.  Address, user agent and request id are, unless they are given, those of the
    request that is being answered (``pulse_common.origin``).
    """

    actor_kind: ActorKind
    actor_id: str
    action: Action
    object_kind: str
    object_id: str
    outcome: Outcome = "success"
    reason: str | None = None
    address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    details: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_known(self.action)


async def record(tx: Tx, act: Act) -> None:
    """Write ``act`` in the caller's transaction, under the tenant of that transaction (else the platform's)."""
    tenant = tx.tenant if isinstance(tx, TenantTx) else PLATFORM_TENANT
    await tx.execute(_INSERT, {"tenant_id": tenant, **_row(act)})


async def record_all(tx: TenantTx, acts: Sequence[Act]) -> None:
    """Write many acts in one statement, each as ``record`` does."""
    rows = json.dumps([_row(act) for act in acts], default=str)
    await tx.execute(_INSERT_ALL, {"tenant_id": tx.tenant, "rows": rows})


def _row(act: Act) -> dict[str, object]:
    came = origin.current()
    return {
        "audit_id": new_id(),
        "actor_kind": act.actor_kind,
        "actor_id": clean(act.actor_id),
        "action": act.action,
        "object_kind": act.object_kind,
        "object_id": clean(act.object_id),
        "outcome": act.outcome,
        "reason": clean_or_none(act.reason),
        "address": clean_or_none(act.address or came.address),
        "user_agent": clean_or_none(act.user_agent or came.user_agent),
        "request_id": clean_or_none(act.request_id or came.request_id),
        "before": to_json_or_none(act.before),
        "after": to_json_or_none(act.after),
        "details": to_json(act.details),
    }
