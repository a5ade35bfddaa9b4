"""The record of who did what: one row, written in the transaction of the act itself.

No audit row, no act; no act, no audit row.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pulse_common.ids import PLATFORM_TENANT, new_id
from pulse_common.tenancy import TenantTx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulse_common.tenancy import Tx

ActorKind = Literal["user", "service", "device", "operator", "anonymous"]
Outcome = Literal["success", "failure", "denied"]

_INSERT = """
    INSERT INTO audit_log (tenant_id, audit_id, actor_kind, actor_id, action, object_kind, object_id, outcome, reason,
                           address, request_id, details)
    VALUES (%(tenant_id)s, %(audit_id)s, %(actor_kind)s, %(actor_id)s, %(action)s, %(object_kind)s, %(object_id)s,
            %(outcome)s, %(reason)s, %(address)s, %(request_id)s, %(details)s::jsonb)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that somebody did or tried.  ``action`` reads ``noun.verb``, for instance ``certificate.revoke``."""

    actor_kind: ActorKind
    actor_id: str
    action: str
    object_kind: str
    object_id: str
    outcome: Outcome = "success"
    reason: str | None = None
    address: str | None = None
    request_id: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)


async def record(tx: Tx, act: Act) -> None:
    """Write ``act`` in the caller's transaction, under the tenant of that transaction (else the platform's)."""
    tenant = tx.tenant if isinstance(tx, TenantTx) else PLATFORM_TENANT
    await tx.execute(
        _INSERT,
        {
            "tenant_id": tenant,
            "audit_id": new_id(),
            "actor_kind": act.actor_kind,
            "actor_id": act.actor_id,
            "action": act.action,
            "object_kind": act.object_kind,
            "object_id": act.object_id,
            "outcome": act.outcome,
            "reason": act.reason,
            "address": act.address,
            "request_id": act.request_id,
            "details": json.dumps(act.details),
        },
    )
