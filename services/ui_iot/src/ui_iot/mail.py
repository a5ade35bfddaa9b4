"""One e-mail, by SMTP; the only place that sends any."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import make_msgid
from typing import TYPE_CHECKING

from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """With ``starttls`` the server must show a certificate for ``host``; a user logs in only over TLS."""

    host: str
    port: int
    sender: str
    starttls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)

    async def send(self, to: Sequence[str], subject: str, text: str) -> None:
        """Hand the message to the mail server.

        Raises:
            Unavailable: it is away, or takes the message for nobody.
        """
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, ", ".join(to), subject
        message["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2])
        message.set_content(text)
        try:
            await asyncio.to_thread(self._send, message)
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable("the mail server is away") from error

    def _send(self, message: EmailMessage) -> None:
        with smtplib.SMTP(self.host, self.port, timeout=SECONDS) as server:
            if self.starttls:
                server.starttls(context=ssl.create_default_context())
                if self.user:
                    server.login(self.user, self.password)
            server.send_message(message)
