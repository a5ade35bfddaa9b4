"""The SQL about commands and their answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pulse_common.events import CommandAcknowledgement, CommandRequest
    from pulse_common.tenancy import Tx


async def add(tx: Tx, request: CommandRequest, now: datetime, expires_at: datetime) -> None:
    """Write a command down before it is sent.

    Raises:
        ForeignKeyViolation: the tenant has no such device.
        UniqueViolation: it was asked for before.
    """
    await tx.execute(
        """
        INSERT INTO commands (tenant_id, command_id, device_id, name, arguments, actor_id, state, created_at,
                              expires_at)
        VALUES (%(tenant)s, %(command)s, %(device)s, %(name)s, %(arguments)s::jsonb, %(actor)s, 'asked', %(now)s,
                %(expires)s)
        """,
        {
            "tenant": request.tenant_id,
            "command": request.command_id,
            "device": request.device_id,
            "name": request.name,
            "arguments": json.dumps(request.arguments, allow_nan=False),
            "actor": request.actor_id,
            "now": now,
            "expires": expires_at,
        },
    )


async def note(tx: Tx, request: CommandRequest, state: str, why: str | None, now: datetime) -> None:
    """Note what the broker said; the device's answer may have been faster, and stands."""
    await tx.execute(
        """
        UPDATE commands
           SET state = %(state)s, result = %(why)s,
               settled_at = CASE WHEN %(state)s = 'not_sent' THEN %(now)s::timestamptz END
         WHERE tenant_id = %(tenant)s AND command_id = %(command)s AND state = 'asked'
        """,
        {
            "tenant": request.tenant_id,
            "command": request.command_id,
            "state": state,
            "why": why,
            "now": now,
        },
    )


async def settle(tx: Tx, answers: Sequence[CommandAcknowledgement]) -> int:
    """Settle what is open.  An answer that came in time counts although the sweep was faster; the first one stands."""
    return await tx.execute(
        """
        UPDATE commands c
           SET state = CASE WHEN a.ok THEN 'acknowledged' ELSE 'failed' END, settled_at = a.received_at,
               result = a.result
          FROM (SELECT DISTINCT ON (tenant_id, command_id) tenant_id, command_id, device_id, received_at, ok, result
                  FROM unnest(%(tenants)s::uuid[], %(commands)s::uuid[], %(devices)s::uuid[],
                              %(received)s::timestamptz[], %(oks)s::boolean[], %(results)s::text[])
                       AS r (tenant_id, command_id, device_id, received_at, ok, result)
                 ORDER BY tenant_id, command_id, received_at) a
         WHERE c.tenant_id = a.tenant_id AND c.command_id = a.command_id AND c.device_id = a.device_id
           AND c.state IN ('asked', 'sent', 'timed_out') AND a.received_at <= c.expires_at
        """,
        {
            "tenants": [answer.tenant_id for answer in answers],
            "commands": [answer.command_id for answer in answers],
            "devices": [answer.device_id for answer in answers],
            "received": [answer.received_at for answer in answers],
            "oks": [answer.ok for answer in answers],
            "results": [answer.result for answer in answers],
        },
    )


async def time_out(tx: Tx, now: datetime) -> int:
    return await tx.execute(
        """
        UPDATE commands SET state = 'timed_out', settled_at = expires_at
         WHERE state IN ('asked', 'sent') AND expires_at < %(now)s
        """,
        {"now": now},
    )
