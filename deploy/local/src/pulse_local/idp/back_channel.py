"""Tells the application that a session has ended (OpenID Connect Back-Channel Logout 1.0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2
import structlog

if TYPE_CHECKING:
    from pulse_local.idp.sessions import Session
    from pulse_local.idp.tokens import Minter

TIMEOUT_SECONDS = 5

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BackChannel:
    """Calls the application's address once; a log-out goes on whatever comes of it, as Keycloak's does."""

    uri: str
    minter: Minter

    async def tell(self, session: Session) -> None:
        form = {"logout_token": self.minter.logout_token(session)}
        try:
            async with httpx2.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as http:
                response = await http.post(self.uri, data=form)
        except httpx2.HTTPError as error:
            log.warning("log_out_not_told", session_id=session.id, error=type(error).__name__)
            return
        log.info("log_out_told", session_id=session.id, status=response.status_code)
