"""Invitations: a mail with a link, good once and for a while, behind which somebody chooses a password."""

from __future__ import annotations

import asyncio
import secrets
import smtplib
from dataclasses import dataclass, replace
from email.message import EmailMessage
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import structlog

from pulse_local.idp.pages import error_page, password_page, render
from pulse_local.idp.parameters import BadParameters, read_form, read_query
from pulse_local.idp.representations import BadPerson, with_password
from pulse_local.idp.settings import REALM_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_local.idp.people import Person
    from pulse_local.idp.realm import Realm

ACTION_PATH = f"{REALM_PATH}/login-actions/action-token"
ACTIONS = frozenset({"UPDATE_PASSWORD", "VERIFY_EMAIL"})
LONGEST_SECONDS = 43200
MOST_OPEN = 1000
_SENDER = "Pulse <no-reply@pulse.example>"
_NO_LONGER = "The link you clicked is no longer valid. It may have expired or been used."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Invitation:
    subject: str
    target: str
    ends_at: float


class Invitations:
    def __init__(self, realm: Realm, smtp_port: int, clock: Callable[[], float]) -> None:
        self._realm = realm
        self._smtp_port = smtp_port
        self._clock = clock
        self._open: dict[str, Invitation] = {}

    async def send(self, person: Person, target: str, seconds: int) -> None:
        """Send somebody the link.

        Raises:
            OSError: the mail server did not take it.

        """
        while len(self._open) >= MOST_OPEN:
            del self._open[next(iter(self._open))]
        key = secrets.token_urlsafe(32)
        message = EmailMessage()
        message["From"], message["To"] = _SENDER, person.username
        message["Subject"] = "Update Your Account"
        link = f"{self._realm.issuer}/login-actions/action-token?{urlencode({'key': key})}"
        message.set_content(
            f"Your administrator asks you to choose a password for Pulse:\n\n{link}\n\n"
            f"The link is good once, for {seconds // 60} minutes.\n"
        )
        await asyncio.to_thread(self._deliver, message)
        self._open[key] = Invitation(person.subject, target, self._clock() + seconds)

    async def answer(self, request: Request) -> Response:
        """Show the form behind a link, and take what was chosen."""
        home = self._realm.client.post_logout_uri
        try:
            key = read_query(request).get("key", "")
            invitation, person = self._find(key)
            if invitation is None or person is None:
                return error_page(_NO_LONGER, home)
            action = f"{ACTION_PATH}?{urlencode({'key': key})}"
            if request.method != "POST":
                return password_page(action=action)
            form = await read_form(request)
        except BadParameters as error:
            return error_page(str(error), home)
        if form.get("password-new", "") != form.get("password-confirm", ""):
            return password_page(action=action, problem="Passwords don't match.")
        try:
            able = with_password(person, {"value": form.get("password-new", "")})
        except BadPerson as error:
            return password_page(action=action, problem=str(error))
        del self._open[key]
        # Whoever has the link has the mail.
        self._realm.people.keep(replace(able, email_verified=True, required_actions=()))
        log.info("password_chosen", subject=person.subject)
        return render("done", title="Account updated", home=invitation.target or home)

    def _find(self, key: str) -> tuple[Invitation | None, Person | None]:
        found = self._open.get(key)
        if found is None or self._clock() >= found.ends_at:
            return None, None
        return found, self._realm.people.find(found.subject)

    def _deliver(self, message: EmailMessage) -> None:
        with smtplib.SMTP("127.0.0.1", self._smtp_port, timeout=5) as server:
            server.send_message(message)
