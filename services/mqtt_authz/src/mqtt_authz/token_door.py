"""The listener without certificates: one look-up for each token shown, and few wrong ones from one address.

Nothing is remembered: a token is asked for at every CONNECT, so that none works while the database is away.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mqtt_authz import tokens
from mqtt_authz.addresses import network_of
from mqtt_authz.denials import Denial
from mqtt_authz.reasons import Denied, Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mqtt_authz.denials import Denials
    from mqtt_authz.domain import Admitted, Connect
    from mqtt_authz.tokens import TokenStanding
    from pulse_common.clock import Clock

MINUTE_SECONDS = 60.0
MOST_WRONG = 30
"""Unknown tokens a minute from one address (IPv6: one /64) that are looked up, of each replica."""
MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class _Minute:
    ends: float
    wrong: int = 0


@dataclass(slots=True)
class WrongTokens:
    """Counts unknown tokens by address.  It spares the database; what keeps guesses out is the token's 256 bits."""

    monotonic: Callable[[], float] = time.monotonic
    _minutes: OrderedDict[str, _Minute] = field(default_factory=OrderedDict)

    def too_many(self, address: str) -> bool:
        minute = self._minutes.get(network_of(address))
        return minute is not None and minute.ends > self.monotonic() and minute.wrong >= MOST_WRONG

    def note(self, address: str) -> None:
        network, now = network_of(address), self.monotonic()
        minute = self._minutes.get(network)
        if minute is None or minute.ends <= now:
            self._minutes.pop(network, None)
            minute = self._minutes[network] = _Minute(now + MINUTE_SECONDS)
        minute.wrong += 1
        if len(self._minutes) > MOST_ADDRESSES:
            self._minutes.popitem(last=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDoor:
    find: Callable[[bytes], Awaitable[TokenStanding | None]]
    denials: Denials
    clock: Clock
    wrong: WrongTokens = field(default_factory=WrongTokens)

    async def judge(self, connect: Connect) -> Admitted | Denied:
        """Judge a CONNECT by its token.

        Raises:
            Unavailable: the database is away.
        """
        if self.wrong.too_many(connect.address):
            return Denied(Reason.TOO_MANY_WRONG_TOKENS)
        digest = tokens.digest_of(connect)
        standing = None if isinstance(digest, Denied) else await self.find(digest)
        if standing is None:
            self.wrong.note(connect.address)
        if isinstance(digest, Denied):
            return digest
        verdict = tokens.admit(connect, standing, self.clock())
        if isinstance(verdict, Denied) and standing is not None:
            self._note(connect, standing, verdict)
        return verdict

    def _note(self, connect: Connect, standing: TokenStanding, denied: Denied) -> None:
        """Keep it for the token's own tenant: whoever came had its secret.  Who has none can write nowhere."""
        self.denials.note(
            Denial(
                tenant=standing.tenant,
                device=standing.device,
                action="connect",
                reason=denied.reason,
                rule=denied.detail or None,
                serial_number=str(standing.token),
                address=connect.address or None,
            )
        )
