"""Who watches live: a browser by its session, or an API client by an access token in its first message.

A browser always names its Origin, and then only the session counts.  Without an Origin only the token counts, and a
cookie is ignored; a token never travels in the URL, which logs keep.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pulse_common.errors import AppError, Forbidden, TooMany, Unauthenticated, Unavailable
from ui_iot import people

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.websockets import WebSocket

    from pulse_common.clock import Clock
    from pulse_common.http import OnRefused
    from pulse_common.identity import Principal, TenantId
    from pulse_common.ratelimit import Limit, Limiter
    from pulse_common.tenancy import Database
    from ui_iot.callers import Callers

LONGEST_TOKEN = 16 * 1024
NOT_UNDERSTOOD, SIGNED_OUT, OTHER_ORIGIN, TOO_SLOW, TOO_MANY = 4400, 4401, 4403, 4408, 4429
OUR_FAULT, TRY_AGAIN = 1011, 1013
EXPIRED = "the token has expired"


class Closed(Exception):  # noqa: N818 -- reads as an outcome
    """The socket is to be closed with this code; the reason is for people."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _Authenticate(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["authenticate"]
    token: str = Field(max_length=LONGEST_TOKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who watches, and how to ask again whether they still may."""

    tenant: TenantId
    subject: str
    again: Callable[[], Awaitable[Visitor]]
    seconds_left: Callable[[], float]
    """How long the credentials are good for as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    callers: Callers
    db: Database
    clock: Clock
    on_refused: OnRefused
    limiter: Limiter
    limit: Limit

    async def admit(self, socket: WebSocket, seconds: float) -> Visitor:
        """Find out who has connected; an API client has so many seconds to say.

        Raises:
            Closed: nobody who may watch.
        """
        try:
            # Before anything is looked at, and after the handshake: a browser's script hears a close code, not a 429.
            await self.limiter.count_address(socket, [self.limit])
            if "origin" in socket.headers or "sec-fetch-site" in socket.headers:
                return await self._admit_browser(socket)
            return await self._by_token(await _read_token(socket, seconds))
        except TooMany as error:
            raise Closed(TOO_MANY, error.message) from None
        except Unavailable:
            raise Closed(TRY_AGAIN, "a part is away") from None
        except Unauthenticated as error:
            await self.on_refused(socket, error)
            raise Closed(SIGNED_OUT, error.message) from None
        except AppError as error:
            raise Closed(SIGNED_OUT, error.message) from None

    async def _admit_browser(self, socket: WebSocket) -> Visitor:
        if "origin" not in socket.headers or not self.callers.is_same_origin(socket):
            raise Closed(OTHER_ORIGIN, "not from our own pages")
        return await self._by_session(socket)

    async def _by_session(self, socket: WebSocket) -> Visitor:
        session = await self.callers.look_at_session(socket)
        return Visitor(
            tenant=await self._tenant_of(session.principal),
            subject=session.principal.subject,
            again=partial(self._by_session, socket),
            seconds_left=lambda: float("inf"),
        )

    async def _by_token(self, token: str) -> Visitor:
        principal = await self.callers.verifier.verify(token)
        expires_at = principal.expires_at
        # The verifier's leeway is for clocks that differ, not for longer views.
        if expires_at is None or expires_at <= self.clock():
            raise Unauthenticated(EXPIRED, "expired")
        return Visitor(
            tenant=await self._tenant_of(principal),
            subject=principal.subject,
            again=partial(self._by_token, token),
            seconds_left=lambda: max(0.0, (expires_at - self.clock()).total_seconds()),
        )

    async def _tenant_of(self, principal: Principal) -> TenantId:
        """Return the tenant that this person may watch now."""
        if people.EVERYBODY.isdisjoint(principal.roles):
            raise Forbidden("your role does not allow this")
        tenant = people.tenant_of(principal)
        async with self.db.tenant_connection(tenant) as tx:
            await people.require_active_tenant(tx)
        return tenant


class Seats:
    """How many sockets one person may hold open in this process."""

    def __init__(self, most_per_person: int) -> None:
        self._most = most_per_person
        self._taken: Counter[tuple[TenantId, str]] = Counter()

    @contextmanager
    def seat(self, visitor: Visitor) -> Iterator[None]:
        """Hold a seat.

        Raises:
            Closed: they have as many as they may have.
        """
        person = (visitor.tenant, visitor.subject)
        if self._taken[person] >= self._most:
            raise Closed(TOO_MANY, f"at most {self._most} live views at once")
        self._taken[person] += 1
        try:
            yield
        finally:
            self._taken[person] -= 1
            if not self._taken[person]:
                del self._taken[person]


async def _read_token(socket: WebSocket, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            text = await socket.receive_text()
        return _Authenticate.model_validate_json(text).token
    except TimeoutError:
        raise Closed(TOO_SLOW, "no token came in time") from None
    except (ValidationError, KeyError):
        raise Closed(NOT_UNDERSTOOD, "authenticate first") from None
