"""One e-mail, by SMTP; the only place that sends any."""

from __future__ import annotations

import asyncio
import smtplib
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import make_msgid
from typing import TYPE_CHECKING

from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    host: str
    port: int
    sender: str

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
            server.send_message(message)
