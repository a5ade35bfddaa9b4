"""Every SQL statement about sessions.  What a person lists or ends is found by their subject, never by an id alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import Tx

SESSION = """
    SELECT session_hash, session_id, subject, home_tenant_id, oidc_session_id, tokens_sealed, csrf_secret,
           access_expires_at, address, user_agent, created_at, last_used_at, expires_at
      FROM web_sessions
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """``session_id`` is its public name; ``home_tenant_id`` None is an operator's."""

    session_hash: bytes
    session_id: UUID
    subject: str
    home_tenant_id: UUID | None
    oidc_session_id: str | None
    tokens_sealed: bytes
    csrf_secret: bytes
    access_expires_at: datetime
    address: str | None
    user_agent: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime

    def with_tokens(self, sealed: bytes, access_expires_at: datetime) -> SessionRow:
        return dataclasses.replace(self, tokens_sealed=sealed, access_expires_at=access_expires_at)


async def create_session(tx: Tx, row: SessionRow) -> None:
    await tx.execute(
        """
        INSERT INTO web_sessions (session_hash, session_id, subject, home_tenant_id, oidc_session_id, tokens_sealed,
                                  csrf_secret, access_expires_at, address, user_agent, created_at, last_used_at,
                                  expires_at)
        VALUES (%(session_hash)s, %(session_id)s, %(subject)s, %(home_tenant_id)s, %(oidc_session_id)s,
                %(tokens_sealed)s, %(csrf_secret)s, %(access_expires_at)s, %(address)s, %(user_agent)s,
                %(created_at)s, %(last_used_at)s, %(expires_at)s)
        """,
        dataclasses.asdict(row),
    )


async def find_session(tx: Tx, session_hash: bytes) -> SessionRow | None:
    row = await tx.one_or_none(
        SESSION + " WHERE session_hash = %(session_hash)s",
        {"session_hash": session_hash},
    )
    return None if row is None else SessionRow(**row)


async def lock_session(tx: Tx, session_hash: bytes) -> SessionRow | None:
    """Find a session and keep other refreshers waiting until this transaction ends."""
    row = await tx.one_or_none(
        SESSION + " WHERE session_hash = %(session_hash)s FOR UPDATE",
        {"session_hash": session_hash},
    )
    return None if row is None else SessionRow(**row)


async def list_sessions(
    tx: Tx, subject: str, *, now: datetime, idle_since: datetime, limit: int
) -> Sequence[SessionRow]:
    """Return a person's sessions that are not over, last used first."""
    rows = await tx.all(
        SESSION
        + """
         WHERE subject = %(subject)s AND expires_at > %(now)s AND last_used_at >= %(idle_since)s
         ORDER BY last_used_at DESC, session_id
         LIMIT %(limit)s
        """,
        {"subject": subject, "now": now, "idle_since": idle_since, "limit": limit},
    )
    return [SessionRow(**row) for row in rows]


async def replace_tokens(
    tx: Tx, session_hash: bytes, sealed: bytes, access_expires_at: datetime
) -> None:
    await tx.execute(
        """
        UPDATE web_sessions
           SET tokens_sealed = %(sealed)s, access_expires_at = %(access_expires_at)s
         WHERE session_hash = %(session_hash)s
        """,
        {
            "session_hash": session_hash,
            "sealed": sealed,
            "access_expires_at": access_expires_at,
        },
    )


async def touch_session(tx: Tx, session_hash: bytes, now: datetime, address: str | None) -> None:
    await tx.execute(
        """
        UPDATE web_sessions
           SET last_used_at = %(now)s, address = coalesce(%(address)s, address)
         WHERE session_hash = %(session_hash)s
        """,
        {"session_hash": session_hash, "now": now, "address": address},
    )


async def delete_session(tx: Tx, session_hash: bytes) -> bool:
    """Return whether there was one."""
    deleted = await tx.execute(
        "DELETE FROM web_sessions WHERE session_hash = %(session_hash)s",
        {"session_hash": session_hash},
    )
    return deleted > 0


async def delete_own_session(tx: Tx, subject: str, session_id: UUID) -> SessionRow | None:
    """End one session of this person; None when it is over already, or another's."""
    row = await tx.one_or_none(
        """
        DELETE FROM web_sessions
         WHERE session_id = %(session_id)s AND subject = %(subject)s
        RETURNING session_hash, session_id, subject, home_tenant_id, oidc_session_id, tokens_sealed, csrf_secret,
                  access_expires_at, address, user_agent, created_at, last_used_at, expires_at
        """,
        {"session_id": session_id, "subject": subject},
    )
    return None if row is None else SessionRow(**row)


async def find_by_provider_session(
    tx: Tx, oidc_session_id: str, subject: str | None
) -> Sequence[SessionRow]:
    """Return the sessions that one log-in at the identity provider opened; of ``subject`` alone where it is named."""
    rows = await tx.all(
        SESSION
        + """
         WHERE oidc_session_id = %(oidc_session_id)s
           AND (%(subject)s::text IS NULL OR subject = %(subject)s::text)
        """,
        {"oidc_session_id": oidc_session_id, "subject": subject},
    )
    return [SessionRow(**row) for row in rows]


async def find_by_subject(tx: Tx, subject: str) -> Sequence[SessionRow]:
    # In one order, so that two who end them all do not wait for each other.
    rows = await tx.all(
        SESSION + " WHERE subject = %(subject)s ORDER BY session_hash", {"subject": subject}
    )
    return [SessionRow(**row) for row in rows]


async def delete_ended_sessions(tx: Tx, now: datetime, idle_since: datetime) -> int:
    return await tx.execute(
        "DELETE FROM web_sessions WHERE expires_at <= %(now)s OR last_used_at < %(idle_since)s",
        {"now": now, "idle_since": idle_since},
    )
