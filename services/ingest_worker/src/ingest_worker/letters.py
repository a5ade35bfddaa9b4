"""Refused messages on their way from JetStream to the dead letters of their tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from ingest_worker import limit_store
from pulse_common.consume import Consumer, consume_batches
from pulse_common.events import STREAM_REFUSED, RefusedMessage
from pulse_common.messaging import Done, Message, Never, Outcome

if TYPE_CHECKING:
    from pulse_common.bus import Bus
    from pulse_common.tenancy import Database

CONSUMER = Consumer(
    stream=STREAM_REFUSED,
    name="ingest_letters",
    subjects=["pulse.refused.*"],
    batch=200,
    fetch_seconds=1.0,
    ack_wait_seconds=15,
)


class Letters:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, bus: Bus) -> None:
        await consume_batches(bus, CONSUMER, self.keep_batch)

    async def keep_batch(self, messages: list[Message]) -> list[Outcome]:
        parsed = [_parse(message) for message in messages]
        letters = [one for one in parsed if isinstance(one, RefusedMessage)]
        if letters:
            async with self._database.service_connection("pulse_ingest") as tx:
                await limit_store.save_letters(tx, letters)
                await limit_store.forget_letters(tx, {letter.tenant_id for letter in letters})
        return [one if isinstance(one, Never) else Done() for one in parsed]


def _parse(message: Message) -> RefusedMessage | Never:
    try:
        return RefusedMessage.model_validate_json(message.data)
    except ValidationError:
        return Never("not a refused message")
