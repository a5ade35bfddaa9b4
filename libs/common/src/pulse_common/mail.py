"""One e-mail, by SMTP; the only place that sends any.

Whoever wants somebody told emits ``pulse_common.notices.NoticeRaised``; ui_iot alone has the mail server's settings.
"""

from __future__ import annotations

import asyncio
import re
import smtplib
import ssl
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, Field, SecretStr

from pulse_common.clock import system_clock
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulse_common.clock import Clock

SECONDS = 10.0
LONGEST_SUBJECT = 200
_PERMANENT = 500
# As HTML's input takes them, which is narrower than RFC 5322: nothing that ends an address and begins another.
_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
)
# A long link would be folded into RFC 2047's encoded words, which are no link; 998 is SMTP's longest line.
_UNFOLDED = policy.EmailPolicy(max_line_length=990)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Undeliverable(Unavailable):
    """The mail server will never take this mail for this address."""


class MailSettings(BaseModel):
    """What a service needs to know to send mail; mixed into its settings."""

    smtp_host: str = Field(min_length=1)
    smtp_port: int = Field(default=25, ge=1, le=65535)
    smtp_from: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    smtp_starttls: bool = True
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """With ``starttls`` the server must show a certificate for ``host``; a user logs in only over TLS."""

    host: str
    port: int
    sender: str
    starttls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    clock: Clock = system_clock

    @classmethod
    def of(cls, settings: MailSettings) -> Self:
        return cls(
            host=settings.smtp_host,
            port=settings.smtp_port,
            sender=settings.smtp_from,
            starttls=settings.smtp_starttls,
            user=settings.smtp_user,
            password=settings.smtp_password.get_secret_value(),
        )

    async def send(
        self, to: Sequence[str], subject: str, text: str, *, unsubscribe_url: str | None = None
    ) -> None:
        """Hand the message to the mail server.

        ``unsubscribe_url`` takes a POST without a log-in and acts on it (RFC 8058); such a mail is for one address,
        whose owner alone may have the link.

        Raises:
            ValueError: a subject or an address that could say more than it is.
            Undeliverable: the mail server will not take it, today or later.
            Unavailable: it is away, or takes the message for nobody now.
        """
        message = self._message(to, subject, text)
        if unsubscribe_url is not None:
            if len(to) != 1 or _CONTROL.search(unsubscribe_url):
                raise ValueError("a link to unsubscribe is for one address")
            message["List-Unsubscribe"] = f"<{unsubscribe_url}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        try:
            await asyncio.to_thread(self._send, message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            if all(code >= _PERMANENT for code in codes):
                raise Undeliverable("the mail server does not know the address") from error
            raise Unavailable("the mail server takes no mail for the address now") from error
        except smtplib.SMTPDataError as error:
            if error.smtp_code >= _PERMANENT:
                raise Undeliverable("the mail server refused the mail") from error
            raise Unavailable("the mail server takes no mail now") from error
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable("the mail server is away") from error

    def _message(self, to: Sequence[str], subject: str, text: str) -> EmailMessage:
        if not to or not all(is_address(one) for one in to):
            raise ValueError("not an e-mail address")
        if _CONTROL.search(subject) or len(subject) > LONGEST_SUBJECT:
            raise ValueError("a subject is one short line, without linefeed or carriage return")
        message = EmailMessage(policy=_UNFOLDED)
        message["From"], message["To"], message["Subject"] = self.sender, ", ".join(to), subject
        message["Date"] = format_datetime(self.clock())
        message["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2])
        # RFC 3834: no holiday answers, please.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        return message

    def _send(self, message: EmailMessage) -> None:
        with smtplib.SMTP(self.host, self.port, timeout=SECONDS) as server:
            if self.starttls:
                server.starttls(context=ssl.create_default_context())
                if self.user:
                    server.login(self.user, self.password)
            server.send_message(message)


def is_address(text: str) -> bool:
    """Say whether this is one e-mail address and nothing more."""
    return _ADDRESS.fullmatch(text) is not None
