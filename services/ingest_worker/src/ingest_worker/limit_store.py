"""The SQL about messages that were refused or over a limit: both bounded for each tenant by itself."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date
    from uuid import UUID

    from ingest_worker.receipts import Receipt
    from pulse_common.events import RefusedMessage
    from pulse_common.tenancy import Tx

MOST_LETTERS = 1000
MOST_KEPT_BYTES = 4096
MOST_RECEIPTS = 1000


async def save_letters(tx: Tx, letters: Sequence[RefusedMessage]) -> None:
    """Keep refused messages.  A letter that is there already shows when the message came last."""
    newest = {(letter.tenant_id, letter.letter_id): letter for letter in letters}
    kept = [newest[key] for key in sorted(newest)]
    await tx.execute(
        """
        INSERT INTO refused_messages AS d (tenant_id, letter_id, device_id, kind, reason, received_at, size_bytes,
                                           payload, detail)
        SELECT tenant_id, letter_id, device_id, kind, reason, received_at, size_bytes, payload, detail
          FROM unnest(%(tenants)s::uuid[], %(letters)s::uuid[], %(devices)s::uuid[], %(kinds)s::text[],
                      %(reasons)s::text[], %(received)s::timestamptz[], %(sizes)s::integer[], %(payloads)s::bytea[],
                      %(details)s::text[])
               AS r (tenant_id, letter_id, device_id, kind, reason, received_at, size_bytes, payload, detail)
            ON CONFLICT (tenant_id, letter_id) DO UPDATE
           SET received_at = greatest(d.received_at, excluded.received_at)
        """,
        {
            "tenants": [letter.tenant_id for letter in kept],
            "letters": [letter.letter_id for letter in kept],
            "devices": [letter.device_id for letter in kept],
            "kinds": [letter.kind for letter in kept],
            "reasons": [letter.reason for letter in kept],
            "received": [letter.received_at for letter in kept],
            "sizes": [letter.size_bytes for letter in kept],
            "details": [letter.detail for letter in kept],
            "payloads": [base64.b64decode(letter.payload_base64) for letter in kept],
        },
    )


async def forget_letters(tx: Tx, tenants: Collection[UUID]) -> int:
    """Keep the newest 1,000 of each of these tenants, and return how many went."""
    return await tx.execute(
        """
        DELETE FROM refused_messages d
         USING (SELECT tenant_id, letter_id,
                       row_number() OVER (PARTITION BY tenant_id ORDER BY received_at DESC, letter_id DESC) AS place
                  FROM refused_messages
                 WHERE tenant_id = ANY (%(tenants)s::uuid[])) o
         WHERE o.place > %(most)s AND d.tenant_id = o.tenant_id AND d.letter_id = o.letter_id
        """,
        {"tenants": list(tenants), "most": MOST_LETTERS},
    )


async def count_of_month(tx: Tx, tenant: UUID, begins: date) -> int:
    """Return how many messages were counted in the month that begins on this day."""
    row = await tx.one(
        """
        SELECT coalesce(sum(amount), 0)::bigint AS used
          FROM billing_usage
         WHERE tenant_id = %(tenant)s AND metric = 'messages'
           AND day >= %(begins)s::date AND day < %(begins)s::date + interval '1 month'
        """,
        {"tenant": tenant, "begins": begins},
    )
    return int(row["used"])


async def save_receipts(tx: Tx, receipts: Sequence[Receipt]) -> None:
    await tx.execute(
        """
        INSERT INTO limit_receipts (tenant_id, receipt_id, device_id, bucket, outcome, since, until, refills_at,
                                    messages, bytes)
        SELECT tenant_id, receipt_id, device_id, bucket, outcome, since, until, refills_at, messages, bytes
          FROM unnest(%(tenants)s::uuid[], %(receipts)s::uuid[], %(devices)s::uuid[], %(buckets)s::text[],
                      %(outcomes)s::text[], %(since)s::timestamptz[], %(until)s::timestamptz[],
                      %(refills)s::timestamptz[], %(messages)s::bigint[], %(bytes)s::bigint[])
               AS r (tenant_id, receipt_id, device_id, bucket, outcome, since, until, refills_at, messages, bytes)
         ORDER BY tenant_id, receipt_id
            ON CONFLICT (tenant_id, receipt_id) DO UPDATE
           SET until = excluded.until, refills_at = excluded.refills_at, messages = excluded.messages,
               bytes = excluded.bytes
        """,
        {
            "tenants": [receipt.tenant_id for receipt in receipts],
            "receipts": [receipt.receipt_id for receipt in receipts],
            "devices": [receipt.device_id for receipt in receipts],
            "buckets": [receipt.bucket for receipt in receipts],
            "outcomes": [receipt.outcome for receipt in receipts],
            "since": [receipt.since for receipt in receipts],
            "until": [receipt.until for receipt in receipts],
            "refills": [receipt.refills_at for receipt in receipts],
            "messages": [receipt.messages for receipt in receipts],
            "bytes": [receipt.size_bytes for receipt in receipts],
        },
    )


async def forget_receipts(tx: Tx, tenants: Collection[UUID]) -> int:
    """Keep the newest 1,000 of each of these tenants, and return how many went."""
    return await tx.execute(
        """
        DELETE FROM limit_receipts d
         USING (SELECT tenant_id, receipt_id,
                       row_number() OVER (PARTITION BY tenant_id ORDER BY until DESC, receipt_id DESC) AS place
                  FROM limit_receipts
                 WHERE tenant_id = ANY (%(tenants)s::uuid[])) o
         WHERE o.place > %(most)s AND d.tenant_id = o.tenant_id AND d.receipt_id = o.receipt_id
        """,
        {"tenants": list(tenants), "most": MOST_RECEIPTS},
    )
