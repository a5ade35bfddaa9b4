"""Acts that need a fresh log-in: what is answered when the last one is too long ago (RFC 9470)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import RedirectResponse

from pulse_common.errors import Unauthenticated
from pulse_common.http import problem

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class StepUpRequired(Unauthenticated):
    """Known, but not recently enough; ``confirm_path`` is the page that asks for the act again after the log-in."""

    code = "step_up_required"
    title = "Log in again to do this"

    def __init__(self, *, max_age_seconds: int, acr: str, confirm_path: str) -> None:
        super().__init__(f"this needs a log-in within the last {max_age_seconds} seconds")
        self.max_age_seconds = max_age_seconds
        self.acr = acr
        self.confirm_path = confirm_path


def answer(request: Request, error: StepUpRequired) -> Response:
    """Lead a person through the log-in to the page that confirms the act; tell a script what is missing."""
    asks_for_page = "text/html" in request.headers.get("accept", "")
    if asks_for_page and "hx-request" not in request.headers:
        query = urlencode({"step_up": "1", "next": error.confirm_path})
        return RedirectResponse(f"/auth/login?{query}", 303)
    response = problem(error)
    level = f', acr_values="{error.acr}"' if error.acr else ""
    response.headers["www-authenticate"] = (
        'Bearer error="insufficient_user_authentication", '
        f'error_description="a more recent log-in is required", max_age="{error.max_age_seconds}"{level}'
    )
    return response
