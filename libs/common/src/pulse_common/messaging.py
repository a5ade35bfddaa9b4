"""What a consumer may say about a message, and how that reaches NATS.

A handler returns an ``Outcome``; it never acknowledges by itself.  An exception that escapes a handler is a bug: the
message is retried and the error is logged once, here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, assert_never

import structlog

from pulse_common.errors import Unavailable

log = structlog.get_logger(__name__)
CRASH_DELAY_SECONDS = 30.0
AWAY_DELAY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Done:
    """The work is finished, now or earlier."""


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing is wrong with the message; try again after ``seconds``."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Never:
    """The message can never succeed; keep it for a person to look at."""

    reason: str


Outcome = Done | Later | Never


class Message(Protocol):
    """One stream message.  ``deliveries`` counts this one; 1 on the first."""

    @property
    def subject(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def deliveries(self) -> int: ...

    async def ack(self) -> None: ...
    async def retry(self, seconds: float) -> None: ...
    async def park(self, reason: str) -> None: ...


Handler = Callable[[Message], Awaitable[Outcome]]
BatchHandler = Callable[[list[Message]], Awaitable[list[Outcome]]]
"""Answers with one outcome for each message, in order."""


async def deliver(message: Message, handler: Handler) -> Outcome:
    try:
        outcome = await handler(message)
    except Unavailable as error:
        outcome = Later(AWAY_DELAY_SECONDS, error.message)
    except Exception:
        log.exception("handler_crashed", subject=message.subject)
        outcome = Later(CRASH_DELAY_SECONDS, "handler crashed")
    await settle(message, outcome)
    return outcome


async def deliver_batch(messages: list[Message], handler: BatchHandler) -> list[Outcome]:
    outcomes: list[Outcome]
    try:
        outcomes = await handler(messages)
    except Unavailable as error:
        outcomes = [Later(AWAY_DELAY_SECONDS, error.message)] * len(messages)
    except Exception:
        log.exception("handler_crashed", messages=len(messages))
        outcomes = [Later(CRASH_DELAY_SECONDS, "handler crashed")] * len(messages)
    for message, outcome in zip(messages, outcomes, strict=True):
        await settle(message, outcome)
    return outcomes


async def settle(message: Message, outcome: Outcome) -> None:
    match outcome:
        case Done():
            await message.ack()
        case Later(seconds, reason):
            log.info("message_retried", subject=message.subject, reason=reason)
            await message.retry(seconds)
        case Never(reason):
            log.warning("message_parked", subject=message.subject, reason=reason)
            await message.park(reason)
        case _:
            assert_never(outcome)
