"""Every SQL statement about imports themselves: what was sent, and how far it was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import Row, TenantTx, Tx

WINDOW_BYTES = 128 * 1024
_IMPORT = """
    SELECT import_id, format, state, enrolment_profile_id, with_tokens, received_bytes, read_bytes, line, columns,
           created_devices, unchanged_rows, refused_rows, created_by, tokens_begun_at, tokens_taken_at
      FROM device_imports
     WHERE tenant_id = %(tenant)s AND import_id = %(import_id)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    import_id: UUID
    format: Literal["csv", "jsonl"]
    state: str
    enrolment_profile_id: UUID | None
    with_tokens: bool
    received_bytes: int
    read_bytes: int
    line: int
    columns: list[str] | None
    created_devices: int
    unchanged_rows: int
    refused_rows: int
    created_by: str
    tokens_begun_at: datetime | None
    tokens_taken_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    read_bytes: int
    line: int
    columns: list[str] | None
    created_devices: int
    unchanged_rows: int
    refused_rows: int


async def create(tx: TenantTx, values: dict[str, object]) -> bool:
    """Return whether the import is new."""
    made = await tx.execute(
        """
        INSERT INTO device_imports (tenant_id, import_id, format, enrolment_profile_id, with_tokens, created_by)
        VALUES (%(tenant)s, %(import_id)s, %(format)s, %(enrolment_profile_id)s, %(with_tokens)s, %(created_by)s)
        ON CONFLICT (tenant_id, import_id) DO NOTHING
        """,
        {"tenant": tx.tenant, **values},
    )
    return made == 1


async def count_open(tx: TenantTx) -> int:
    row = await tx.one(
        """
        SELECT count(*) AS open FROM device_imports
         WHERE tenant_id = %(tenant)s AND state IN ('uploading', 'running')
        """,
        {"tenant": tx.tenant},
    )
    return int(row["open"])


async def drop_abandoned(tx: TenantTx, before: datetime) -> None:
    """Cancel uploads that nobody went on with, and throw away what was sent."""
    await tx.execute(
        """
        WITH abandoned AS (
             UPDATE device_imports SET state = 'cancelled', reason = 'the upload was abandoned', finished_at = now()
              WHERE tenant_id = %(tenant)s AND state = 'uploading' AND created_at < %(before)s
             RETURNING import_id)
        DELETE FROM device_import_parts
         WHERE tenant_id = %(tenant)s AND import_id IN (SELECT import_id FROM abandoned)
        """,
        {"tenant": tx.tenant, "before": before},
    )


async def lock(tx: TenantTx, import_id: UUID) -> Import | None:
    values = {"tenant": tx.tenant, "import_id": import_id}
    row = await tx.one_or_none(_IMPORT + " FOR UPDATE", values)
    return None if row is None else Import(**row)


async def take(tx: TenantTx, import_id: UUID) -> Import | None:
    """Lock an import that runs, unless another replica is at it."""
    values = {"tenant": tx.tenant, "import_id": import_id}
    row = await tx.one_or_none(_IMPORT + " AND state = 'running' FOR UPDATE SKIP LOCKED", values)
    return None if row is None else Import(**row)


async def find_running(tx: Tx) -> Sequence[Row]:
    return await tx.all(
        "SELECT tenant_id, import_id FROM device_imports WHERE state = 'running' ORDER BY created_at LIMIT 20"
    )


async def keep_part(tx: TenantTx, import_id: UUID, at_byte: int, data: bytes) -> None:
    values = {
        "tenant": tx.tenant,
        "import_id": import_id,
        "at": at_byte,
        "data": data,
        "received": at_byte + len(data),
    }
    await tx.execute(
        """
        INSERT INTO device_import_parts (tenant_id, import_id, at_byte, data)
        VALUES (%(tenant)s, %(import_id)s, %(at)s, %(data)s)
        """,
        values,
    )
    await tx.execute(
        """
        UPDATE device_imports SET received_bytes = %(received)s
         WHERE tenant_id = %(tenant)s AND import_id = %(import_id)s
        """,
        values,
    )


async def read_parts(tx: TenantTx, import_id: UUID, at_byte: int) -> bytes:
    """Return what was sent from ``at_byte`` on: ``WINDOW_BYTES`` at least, or all that there is."""
    rows = await tx.all(
        """
        SELECT at_byte, data FROM device_import_parts
         WHERE tenant_id = %(tenant)s AND import_id = %(import_id)s AND at_byte + length(data) > %(at)s
           AND at_byte < %(at)s + %(window)s
         ORDER BY at_byte
        """,
        {"tenant": tx.tenant, "import_id": import_id, "at": at_byte, "window": WINDOW_BYTES},
    )
    if not rows:
        return b""
    return b"".join(bytes(row["data"]) for row in rows)[at_byte - rows[0]["at_byte"] :]


async def drop_parts(tx: TenantTx, import_id: UUID, before_byte: int) -> None:
    await tx.execute(
        """
        DELETE FROM device_import_parts
         WHERE tenant_id = %(tenant)s AND import_id = %(import_id)s AND at_byte + length(data) <= %(before)s
        """,
        {"tenant": tx.tenant, "import_id": import_id, "before": before_byte},
    )


async def advance(tx: TenantTx, import_id: UUID, progress: Progress) -> None:
    await tx.execute(
        """
        UPDATE device_imports
           SET read_bytes = %(read_bytes)s, line = %(line)s, columns = %(columns)s,
               created_devices = %(created_devices)s, unchanged_rows = %(unchanged_rows)s,
               refused_rows = %(refused_rows)s
         WHERE tenant_id = %(tenant)s AND import_id = %(import_id)s
        """,
        {
            "tenant": tx.tenant,
            "import_id": import_id,
            "read_bytes": progress.read_bytes,
            "line": progress.line,
            "columns": progress.columns,
            "created_devices": progress.created_devices,
            "unchanged_rows": progress.unchanged_rows,
            "refused_rows": progress.refused_rows,
        },
    )


async def set_state(
    tx: TenantTx, import_id: UUID, state: str, now: datetime, reason: str | None = None
) -> None:
    await tx.execute(
        """
        UPDATE device_imports
           SET state = %(state)s, reason = %(reason)s,
               finished_at = CASE WHEN %(state)s = 'running' THEN NULL ELSE %(now)s::timestamptz END
         WHERE tenant_id = %(tenant)s AND import_id = %(import_id)s
        """,
        {
            "tenant": tx.tenant,
            "import_id": import_id,
            "state": state,
            "now": now,
            "reason": reason,
        },
    )


async def mark_tokens(
    tx: TenantTx, import_id: UUID, *, begun_at: datetime | None, taken_at: datetime | None
) -> None:
    await tx.execute(
        """
        UPDATE device_imports SET tokens_begun_at = %(begun_at)s, tokens_taken_at = %(taken_at)s
         WHERE tenant_id = %(tenant)s AND import_id = %(import_id)s
        """,
        {"tenant": tx.tenant, "import_id": import_id, "begun_at": begun_at, "taken_at": taken_at},
    )
