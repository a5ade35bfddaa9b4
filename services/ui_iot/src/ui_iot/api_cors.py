"""Other origins that a setting names may read the API's answers; never a page's, whose CSRF token is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_common.cors import Cors

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from pulse_common.cors import CorsSettings

API = "/api/v2/devices"
"""Not the operations about sessions: one of them answers with the CSRF token."""


class ApiCors:
    """Pure ASGI."""

    def __init__(self, app: ASGIApp, settings: CorsSettings) -> None:
        self._app = app
        self._shared = Cors(app, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_shared = path == API or path.startswith(f"{API}/")
        await (self._shared if is_shared else self._app)(scope, receive, send)
