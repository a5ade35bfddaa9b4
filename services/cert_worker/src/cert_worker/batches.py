"""Let requests that come at once share a transaction: while one batch commits, the next one gathers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pulse_common.errors import AppError
    from pulse_common.identity import TenantId

MOST = 64

Q = TypeVar("Q")
R = TypeVar("R")


class Batches(Generic[Q, R]):
    """Hands over to ``work`` what was asked for one tenant, never two batches of a tenant at a time.

    ``work`` answers each item in its place, with a result or its refusal; what it raises refuses the whole batch.
    Nobody waits for others to come: an item alone is a batch of one.
    """

    def __init__(
        self, work: Callable[[TenantId, Sequence[Q]], Awaitable[Sequence[R | AppError]]]
    ) -> None:
        self._work = work
        self._waiting: dict[TenantId, list[tuple[Q, asyncio.Future[R]]]] = {}
        self._workers: set[asyncio.Task[None]] = set()

    async def ask(self, tenant: TenantId, item: Q) -> R:
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        if tenant in self._waiting:
            self._waiting[tenant].append((item, answer))
        else:
            self._waiting[tenant] = [(item, answer)]
            worker = asyncio.create_task(self._drain(tenant))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await answer

    async def _drain(self, tenant: TenantId) -> None:
        while waiting := self._waiting[tenant]:
            batch, self._waiting[tenant] = waiting[:MOST], waiting[MOST:]
            await self._run(tenant, batch)
        del self._waiting[tenant]

    async def _run(self, tenant: TenantId, batch: list[tuple[Q, asyncio.Future[R]]]) -> None:
        try:
            results = await self._work(tenant, [item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 -- everybody who waits is told
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), result in zip(batch, results, strict=True):
            if answer.done():  # whoever asked has gone; what was committed stays
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)
