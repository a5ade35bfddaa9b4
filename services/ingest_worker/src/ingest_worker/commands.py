"""Commands to devices: asked for over NATS, written down, handed to the broker, and settled by the device's answer."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import structlog
from pydantic import ValidationError

from ingest_worker import command_store
from pulse_common.consume import Consumer, consume_batches
from pulse_common.errors import AppError, Conflict, Malformed, NotFound, Unavailable
from pulse_common.events import (
    STREAM_LATE,
    CommandAcknowledgement,
    CommandReply,
    CommandRequest,
)
from pulse_common.messaging import Done, Message, Never, Outcome
from pulse_common.tenancy import ForeignKeyViolation, UniqueViolation

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

LARGEST_COMMAND_BYTES = 16 * 1024
LONGEST_LIFE_SECONDS = 24 * 3600
SWEEP_SECONDS = 2.0
CONSUMER = Consumer(
    stream=STREAM_LATE,
    name="ingest_command_answers",
    subjects=["pulse.late.acknowledged.*"],
    batch=100,
    fetch_seconds=0.5,
)


class Publisher(Protocol):
    def publish(
        self, topic: str, payload: bytes, *, expiry_seconds: int | None = None
    ) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Commands:
    link: Publisher
    database: Database
    clock: Clock

    async def answer(self, request: CommandRequest) -> CommandReply:
        """Publish one command to its device, and to nowhere else: the topic is made of two UUIDs.

        Raises:
            Malformed: it cannot be said in JSON, is too long, or would live for more than a day.
            NotFound: there is no such device.
            Conflict: the device is not connected (brokers that speak MQTT 5 say so; others keep quiet).
            Unavailable: the broker is away or did not acknowledge; whether the device gets it is not known.
        """
        if not 1 <= request.expires_in_seconds <= LONGEST_LIFE_SECONDS:
            raise Malformed(f"a command may live for 1 to {LONGEST_LIFE_SECONDS} seconds")
        now = self.clock()
        expires_at = now + timedelta(seconds=request.expires_in_seconds)
        content = _encode(request, expires_at)
        await self._write_down(request, now, expires_at)
        topic = f"tenant/{request.tenant_id}/device/{request.device_id}/command"
        try:
            await self.link.publish(topic, content, expiry_seconds=request.expires_in_seconds)
        except AppError as error:
            state = "not_sent" if isinstance(error, Conflict) else "asked"
            await self._note(request, state, error.message)
            raise
        await self._note(request, "sent", None)
        log.info(
            "command_sent",
            tenant_id=str(request.tenant_id),
            device_id=str(request.device_id),
            command_id=str(request.command_id),
            actor_id=request.actor_id,
        )
        return CommandReply(command_id=request.command_id)

    async def _write_down(
        self, request: CommandRequest, now: datetime, expires_at: datetime
    ) -> None:
        """Before it is sent: a command that nobody knows of must not reach a device."""
        try:
            async with self.database.service_connection("pulse_ingest") as tx:
                await command_store.add(tx, request, now, expires_at)
        except ForeignKeyViolation:
            raise NotFound("no such device") from None
        except UniqueViolation:
            raise Conflict("this command was sent before") from None

    async def _note(self, request: CommandRequest, state: str, why: str | None) -> None:
        """Without the database the command is as sent as it is; the sweep settles what stays open."""
        try:
            async with self.database.service_connection("pulse_ingest") as tx:
                await command_store.note(tx, request, state, why, self.clock())
        except Unavailable as error:
            log.warning("command_not_noted", reason=error.message)

    async def run(self, bus: Bus) -> None:
        """Take devices' answers for ever."""
        await consume_batches(bus, CONSUMER, self.settle_batch)

    async def settle_batch(self, messages: list[Message]) -> list[Outcome]:
        """An answer to no open command of that very device changes nothing."""
        parsed = [_parse(message) for message in messages]
        answers = [one for one in parsed if isinstance(one, CommandAcknowledgement)]
        if answers:
            async with self.database.service_connection("pulse_ingest") as tx:
                await command_store.settle(tx, answers)
        return [one if isinstance(one, Never) else Done() for one in parsed]

    async def sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except Unavailable as error:
                log.warning("command_sweep_waits", reason=error.message)
            except Exception:
                log.exception("command_sweep_crashed")

    async def sweep(self) -> int:
        """Give up on commands whose time is over, and return how many."""
        async with self.database.service_connection("pulse_ingest") as tx:
            return await command_store.time_out(tx, self.clock())


def _parse(message: Message) -> CommandAcknowledgement | Never:
    try:
        return CommandAcknowledgement.model_validate_json(message.data)
    except ValidationError:
        return Never("not an answer to a command")


def _encode(request: CommandRequest, expires_at: datetime) -> bytes:
    content = {
        "id": str(request.command_id),
        "name": request.name,
        "arguments": request.arguments,
        "expires_at": expires_at.isoformat(),
    }
    try:
        data = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        raise Malformed("an argument is not a JSON value") from None
    if len(data) > LARGEST_COMMAND_BYTES:
        raise Malformed(f"a command may hold at most {LARGEST_COMMAND_BYTES} bytes")
    return data
