"""Fetching from a durable pull consumer: one inbox for its whole life, and what was not handed out is handed back.

nats-py's fetch makes a task and a time-out for each message, forgets what a cancelled fetch had gathered, and can go
silent after the server was restarted (its issue 504).  The protocol is NATS's ADR-37: a request names how many and for
how long, the messages come to its inbox, and a status says that no more will.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from typing import TYPE_CHECKING, Self

import nats.errors
from nats.js.api import Header

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

GRACE_SECONDS = 0.25
"""Longer than an answer takes that is on its way."""
CLOSE_SECONDS = 2.0
_NO_MESSAGES, _TIMED_OUT = "404", "408"
_TROUBLE = (nats.errors.Error, OSError)


class Silent(Exception):  # noqa: N818 -- what the server was
    """Neither messages nor a status came: the request was lost, or the server is away."""


class Ended(Exception):  # noqa: N818 -- what became of the consumer
    """The server will answer no more: the consumer is gone, or its leader is."""


class Pull:
    """Used as a context; at its end everything that was not handed out is free for others at once."""

    def __init__(self, connection: Client, stream: str, consumer: str) -> None:
        self._nc = connection
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = connection.new_inbox()
        self._request = ""
        self._requests = 0
        self._subscription: Subscription | None = None
        self._gathered: deque[Msg] = deque()
        self._wanted = 0
        self._status: str | None = None
        self._over = asyncio.Event()
        self._linger: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._subscription = await self._nc.subscribe(f"{self._inbox}.*", cb=self._take)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        """Close, whoever cancels meanwhile: what was gathered must not lie there until the ack wait is over."""
        closing, cancelled = asyncio.ensure_future(self._close()), False
        while not closing.done():
            try:
                await asyncio.wait([closing])
            except asyncio.CancelledError:
                cancelled = True
        if cancelled and kind is not asyncio.CancelledError:
            raise asyncio.CancelledError

    async def fetch(
        self, batch: int, seconds: float, linger_seconds: float | None = None
    ) -> list[Msg]:
        """Return up to ``batch`` messages as soon as they are there, or as many as came within ``seconds``.

        With ``linger_seconds`` the first is not kept waiting for the others longer than that.

        Raises:
            Silent, Ended: subscribe anew.
            nats.errors.Error: the connection is closed.
        """
        self._wanted, self._status, self._linger = batch, None, linger_seconds
        self._over.clear()
        self._end_soon()
        if len(self._gathered) < batch:
            await self._ask(batch - len(self._gathered), seconds)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds + GRACE_SECONDS):
                    await self._over.wait()
        self._stop_timer()
        found = [self._gathered.popleft() for _ in range(min(batch, len(self._gathered)))]
        if not found and self._status is None:
            raise Silent
        if not found and self._status not in {_NO_MESSAGES, _TIMED_OUT}:
            raise Ended(self._status)
        return found

    async def _ask(self, count: int, seconds: float) -> None:
        self._requests += 1
        self._request = f"{self._inbox}.{self._requests}"
        wish = {"batch": count, "expires": int(seconds * 1e9)}
        await self._nc.publish(self._next, json.dumps(wish).encode(), reply=self._request)

    async def _take(self, message: Msg) -> None:
        # A message has its own subject and an acknowledgement's as reply; a status has our inbox as subject.
        if message.subject == self._request:
            self._status = (message.headers or {}).get(Header.STATUS, "")
            self._over.set()
        elif message.reply:
            self._gathered.append(message)
            self._end_soon()
            if len(self._gathered) >= self._wanted:
                self._over.set()

    def _end_soon(self) -> None:
        """Give those that follow the first message their time; what comes later is there for the next fetch."""
        if self._linger is not None and self._gathered and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._linger, self._over.set)

    def _stop_timer(self) -> None:
        self._linger = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _close(self) -> None:
        """Unsubscribe once all is here that the server has sent, and hand it back."""
        if self._subscription is not None:
            with contextlib.suppress(*_TROUBLE, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._subscription.drain()  # type: ignore[no-untyped-call]  # nats-py's
        await hand_back(self._gathered)


async def hand_back(messages: Iterable[Msg]) -> None:
    """Let another replica, or our own next start, have at once what a stop left undone."""
    for message in messages:
        with contextlib.suppress(*_TROUBLE):  # settled already, or the server is away
            await message.nak()
