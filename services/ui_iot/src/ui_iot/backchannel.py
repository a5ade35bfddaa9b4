"""Keycloak's word that sessions have ended there (OpenID Connect Back-Channel Logout 1.0)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.responses import Response

from pulse_common.errors import Malformed, Unauthenticated
from pulse_common.jwt import TokenRefused
from ui_iot.forms import read_form

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.requests import Request

    from pulse_common.clock import Clock
    from pulse_common.http import OnRefused
    from pulse_common.jwt import JwtVerifier
    from ui_iot.endings import Endings
    from ui_iot.visits import VisitOf

MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class UsedTokens:
    """The ids of the tokens that were taken, until their age alone refuses them.

    Only signed tokens get in, so nobody can fill it; if Keycloak ends more sessions than it holds within minutes, the
    oldest are forgotten.  Each replica remembers its own: at another one a replay ends what has ended already.
    """

    clock: Clock
    most: int = MOST_REMEMBERED
    _until: dict[str, datetime] = field(default_factory=dict)

    def require_new(self, token_id: str) -> None:
        """Refuse a token that was taken before.

        Raises:
            TokenRefused: it was.
        """
        until = self._until.get(token_id)
        if until is not None and self.clock() < until:
            raise TokenRefused("replayed")

    def add(self, token_id: str, until: datetime) -> None:
        now = self.clock()
        # In order of arrival, which is nearly the order of their ends.
        while self._until:
            oldest = next(iter(self._until))
            if len(self._until) < self.most and now < self._until[oldest]:
                break
            del self._until[oldest]
        self._until[token_id] = until


@dataclass(frozen=True, slots=True, kw_only=True)
class BackChannel:
    endings: Endings
    verifier: JwtVerifier
    client_id: str
    used: UsedTokens
    visit_of: VisitOf
    on_refused: OnRefused

    async def log_out(self, request: Request) -> Response:
        """End the sessions that the token names; 200 also when there are none (left), as the specification wants.

        Raises:
            Malformed: the token is missing, not valid, or was used.
            Unavailable: a part is away; nothing is remembered, so that the identity provider may try again.
        """
        token = (await read_form(request)).get("logout_token", "")
        try:
            claims = await self.verifier.verify_logout_token(token, self.client_id)
            self.used.require_new(claims.token_id)
        except TokenRefused as error:
            refused = Unauthenticated(error.message, f"logout_token_{error.reason}")
            await self.on_refused(request, refused)
            raise Malformed("the logout token is not valid") from error
        await self.endings.end_at_word_of_provider(claims, self.visit_of(request))
        self.used.add(claims.token_id, claims.useless_at)
        return Response(status_code=200, headers={"cache-control": "no-store"})
