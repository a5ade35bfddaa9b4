"""How the official library's requests to Stripe are sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import stripe

if TYPE_CHECKING:
    from collections.abc import Mapping


class Http(stripe.HTTPClient):
    """The library's own client for aiohttp lets errors pass that happen while a body is read.

    Stripe sets no cookies and leads nowhere else; variables that name a proxy are not looked at.
    """

    name = "aiohttp"

    def __init__(self, session: aiohttp.ClientSession) -> None:
        super().__init__()
        self._session = session

    def sleep_async(self, secs: float) -> Any:  # noqa: ANN401 -- the library's own signature
        return asyncio.sleep(secs)

    async def request_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,  # noqa: ANN401 -- the library's own signature
    ) -> tuple[bytes, int, Mapping[str, str]]:
        asked = self._session.request(
            method, url, headers=headers, data=post_data or None, allow_redirects=False
        )
        try:
            async with asked as answer:
                return await answer.read(), answer.status, answer.headers
        except (aiohttp.ClientError, TimeoutError) as error:
            trouble = type(error).__name__
            raise stripe.APIConnectionError(trouble, should_retry=True) from error  # type: ignore[no-untyped-call]

    async def close_async(self) -> None:
        await self._session.close()
