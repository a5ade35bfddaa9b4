"""Publishing to JetStream, many at a time: one inbox for all acknowledgements, one timer for all that do not come.

A request for each message, with a time-out of its own, costs twice what the message does.  nats-py's own
``publish_async`` would be this, but never answers for a message that the server refused.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from typing import TYPE_CHECKING

from nats.js.api import Header
from nats.js.errors import APIError, NoStreamResponseError

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

SWEEP_SECONDS = 0.5
_NO_RESPONDERS = "503"


class Acknowledged:
    """``seconds``: how long an acknowledgement is waited for, give or take a sweep."""

    def __init__(self, connection: Client, seconds: float) -> None:
        self._nc = connection
        self._seconds = seconds
        self._inbox: asyncio.Future[str] | None = None
        self._numbers = itertools.count()
        self._open: dict[str, asyncio.Future[int]] = {}
        self._due: deque[tuple[float, str]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> int:
        return len(self._open)

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> int:
        """Return its sequence in the stream once it is stored.

        Raises:
            TimeoutError: nothing came; the message may or may not be stored.
            nats.errors.Error, nats.js.errors.Error: the server refused it, or it could not be sent.
        """
        if self._inbox is None:
            self._inbox = asyncio.ensure_future(self._listen())
        inbox = await asyncio.shield(self._inbox)
        loop = asyncio.get_running_loop()
        number = str(next(self._numbers))
        answer = self._open[number] = loop.create_future()
        self._due.append((loop.time() + self._seconds, number))
        if self._timer is None:
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)
        try:
            await self._nc.publish(subject, data, reply=f"{inbox}.{number}", headers=headers)
            sequence: int = await answer
        finally:
            self._open.pop(number, None)
        return sequence

    async def _listen(self) -> str:
        inbox = self._nc.new_inbox()
        await self._nc.subscribe(f"{inbox}.*", cb=self._answered)
        return inbox

    async def _answered(self, message: Msg) -> None:
        answer = self._open.get(message.subject.rpartition(".")[2])
        if answer is None or answer.done():
            return
        if message.headers and message.headers.get(Header.STATUS) == _NO_RESPONDERS:
            answer.set_exception(NoStreamResponseError())
            return
        said = json.loads(message.data)
        if "error" in said:
            answer.set_exception(_refusal(said["error"]))
        else:
            answer.set_result(said["seq"])

    def _sweep(self) -> None:
        """Give up on what is due; they wait in the order in which they are due."""
        loop = asyncio.get_running_loop()
        while self._due:
            due, number = self._due[0]
            answer = self._open.get(number)
            if answer is not None and not answer.done():
                if due > loop.time():
                    break
                answer.set_exception(TimeoutError())
            self._due.popleft()
        self._timer = loop.call_later(SWEEP_SECONDS, self._sweep) if self._due else None


def _refusal(said: dict[str, object]) -> APIError:
    """nats-py raises some of them where it should return them."""
    try:
        refusal: APIError = APIError.from_error(said)
    except APIError as raised:
        return raised
    return refusal
