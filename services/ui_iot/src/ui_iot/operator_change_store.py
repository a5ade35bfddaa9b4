"""The SQL of what operators change; the policies of pulse_operator_write bound it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import OperatorTx
    from ui_iot.access_models import AskBody
    from ui_iot.operators import Operator


@dataclass(frozen=True, slots=True)
class Standing:
    name: str
    status: str
    exported_at: datetime | None


@dataclass(frozen=True, slots=True)
class Opened:
    operator_name: str
    reason: str
    ticket: str
    ends_at: datetime


async def create_tenant(tx: OperatorTx, name: str) -> None:
    await tx.execute(
        "INSERT INTO tenants (tenant_id, name) VALUES (%(tenant)s, %(name)s)",
        {"tenant": tx.tenant, "name": name},
    )


async def lock_tenant(tx: OperatorTx) -> Standing | None:
    row = await tx.one_or_none(
        "SELECT name, status, exported_at FROM tenants WHERE tenant_id = %(tenant)s FOR UPDATE",
        {"tenant": tx.tenant},
    )
    return None if row is None else Standing(**row)


async def set_status(tx: OperatorTx, status: str, reason: str, now: datetime) -> None:
    await tx.execute(
        """
        UPDATE tenants
           SET status = %(status)s, status_reason = %(reason)s, status_changed_at = %(now)s, purge_after = NULL
         WHERE tenant_id = %(tenant)s
        """,
        {"tenant": tx.tenant, "status": status, "reason": reason, "now": now},
    )


async def begin_deletion(tx: OperatorTx, reason: str, now: datetime, until: datetime) -> None:
    await tx.execute(
        """
        UPDATE tenants
           SET status = 'deleting', status_reason = %(reason)s, status_changed_at = %(now)s, purge_after = %(until)s
         WHERE tenant_id = %(tenant)s
        """,
        {"tenant": tx.tenant, "reason": reason, "now": now, "until": until},
    )


async def set_exported(tx: OperatorTx, now: datetime) -> None:
    await tx.execute(
        "UPDATE tenants SET exported_at = %(now)s WHERE tenant_id = %(tenant)s",
        {"tenant": tx.tenant, "now": now},
    )


async def due_for_purge(tx: OperatorTx) -> list[UUID]:
    rows = await tx.all(
        "SELECT tenant_id FROM tenants WHERE status IN ('deleting', 'deleted') AND purge_after <= now()"
    )
    return [row["tenant_id"] for row in rows]


async def purge(tx: OperatorTx) -> None:
    await tx.one("SELECT purge_tenant(%(tenant)s)", {"tenant": tx.tenant})


async def ask(tx: OperatorTx, grant: UUID, who: Operator, asked: AskBody) -> None:
    await tx.execute(
        """
        INSERT INTO operator_grants (tenant_id, grant_id, kind, operator_id, operator_name, scopes, reason, ticket,
                                     seconds)
        VALUES (%(tenant)s, %(grant)s, %(kind)s, %(id)s, %(name)s, %(scopes)s, %(reason)s, %(ticket)s, %(seconds)s)
        """,
        {
            "tenant": tx.tenant,
            "grant": grant,
            "kind": asked.kind,
            "id": who.id,
            "name": who.name,
            "scopes": sorted(set(asked.scopes)),
            "reason": who.reason,
            "ticket": asked.ticket,
            "seconds": asked.seconds,
        },
    )


async def open_broken_glass(
    tx: OperatorTx, grant: UUID, who: Operator, now: datetime
) -> Opened | None:
    row = await tx.one_or_none(
        """
        UPDATE operator_grants
           SET status = 'active', decided_at = now(), decided_by = %(id)s, second_operator_name = %(name)s,
               begins_at = now(), ends_at = now() + make_interval(secs => seconds)
         WHERE grant_id = %(grant)s AND tenant_id = %(tenant)s AND kind = 'break_glass' AND status = 'requested'
           AND operator_id <> %(id)s AND requested_at > now() - interval '1 day'
        RETURNING operator_name, reason, ticket, ends_at
        """,
        {"tenant": tx.tenant, "grant": grant, "id": who.id, "name": who.name, "now": now},
    )
    return None if row is None else Opened(**row)
