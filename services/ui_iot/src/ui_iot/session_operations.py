"""The operations of /api/v2 about who asks, and about their sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot import session_models as models
from ui_iot.operations import Operation
from ui_iot.people import ANYBODY

if TYPE_CHECKING:
    from ui_iot.session_api import SessionApi

SESSION = "/api/v2/session"
SESSIONS = "/api/v2/sessions"


def session_operations(api: SessionApi) -> list[Operation]:
    return [
        Operation(
            name="getSession",
            summary="Who asks; a browser's session also gets its CSRF token, in the header X-CSRF-Token",
            method="GET",
            path=SESSION,
            roles=ANYBODY,
            handler=api.who,
            answers={200: models.WhoAnswer},
            answer_headers=("X-CSRF-Token",),
        ),
        Operation(
            name="listSessions",
            summary="The caller's own browser sessions, last used first",
            method="GET",
            path=SESSIONS,
            roles=ANYBODY,
            handler=api.sessions,
            answers={200: models.SessionsAnswer},
        ),
        Operation(
            name="endOtherSessions",
            summary="End every other browser session of the caller; needs a recent log-in (401 step_up_required)",
            method="POST",
            path=f"{SESSIONS}/end-others",
            roles=ANYBODY,
            handler=api.end_others,
            answers={200: models.EndedAnswer},
        ),
        Operation(
            name="endSession",
            summary="End one browser session of the caller",
            method="POST",
            path=f"{SESSIONS}/{{session_id}}/end",
            roles=ANYBODY,
            handler=api.end,
            answers={200: models.EndedAnswer},
        ),
    ]
