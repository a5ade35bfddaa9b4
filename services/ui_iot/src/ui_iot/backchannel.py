"""Keycloak's word that sessions have ended there (OpenID Connect Back-Channel Logout 1.0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from pulse_common.errors import Malformed, Unauthenticated
from pulse_common.jwt import TokenRefused
from ui_iot import logout_store
from ui_iot.forms import read_form

if TYPE_CHECKING:
    from starlette.requests import Request

    from pulse_common.http import OnRefused
    from pulse_common.jwt import JwtVerifier
    from pulse_common.tenancy import Database
    from ui_iot.endings import Endings
    from ui_iot.visits import VisitOf


@dataclass(frozen=True, slots=True, kw_only=True)
class BackChannel:
    endings: Endings
    verifier: JwtVerifier
    client_id: str
    db: Database
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
            await self._require_new(claims.token_id)
        except TokenRefused as error:
            refused = Unauthenticated(error.message, f"logout_token_{error.reason}")
            await self.on_refused(request, refused)
            raise Malformed("the logout token is not valid") from error
        await self.endings.end_at_word_of_provider(claims, self.visit_of(request))
        # Afterwards: a crash in between leaves a token that may come again, and a session that ends twice.
        async with self.db.service_connection("pulse_sessions") as tx:
            await logout_store.add(tx, claims.token_id, claims.useless_at)
        return Response(status_code=200, headers={"cache-control": "no-store"})

    async def _require_new(self, token_id: str) -> None:
        async with self.db.service_connection("pulse_sessions") as tx:
            if await logout_store.is_used(tx, token_id):
                raise TokenRefused("replayed")
