"""Tell the open live views of a person, in every replica, to look at their session now: one of theirs has ended.

When a tenant is suspended every live view looks: it is rare, and a look is cheap.

A notice is a hint and says nothing of its own: whoever hears it asks the database.  One that is lost costs the time
until the next regular look.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pulse_common import events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulse_common.bus import Bus


class Notices:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def start(self) -> None:
        await self._bus.subscribe_live(events.SESSION_ENDED_SUBJECT, self._hear)
        await self._bus.subscribe_live(events.TenantSuspended.subject, self._hear_of_tenant)

    async def tell(self, subject: str) -> None:
        """Say that a session of this person has ended; after the transaction that ended it."""
        notice = events.WebSessionEnded(subject_id=subject)
        await self._bus.publish_live(events.SESSION_ENDED_SUBJECT, notice.to_bytes())

    @contextmanager
    def listen(self, subject: str) -> Iterator[asyncio.Event]:
        """Give what is set whenever a session of this person may have ended."""
        heard = asyncio.Event()
        self._waiting[subject].add(heard)
        try:
            yield heard
        finally:
            self._waiting[subject].discard(heard)
            if not self._waiting[subject]:
                del self._waiting[subject]

    async def _hear(self, _: str, data: bytes) -> None:
        try:
            subject = events.WebSessionEnded.model_validate_json(data).subject_id
        except ValidationError:
            return
        for heard in self._waiting.get(subject, ()):
            heard.set()

    async def _hear_of_tenant(self, _: str, __: bytes) -> None:
        for views in self._waiting.values():
            for heard in views:
                heard.set()
