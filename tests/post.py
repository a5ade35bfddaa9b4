"""A mail server on a free port, which keeps what it is handed."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

from aiosmtpd.controller import Controller
from tests.parts import free_port

from pulse_common.mail import Mailer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from email.message import EmailMessage

    from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class Post:
    port: int = 0
    refusing: bool = False
    unknown: set[str] = field(default_factory=set)
    delayed: set[str] = field(default_factory=set)
    raw: list[bytes] = field(default_factory=list)
    received: list[tuple[list[str], EmailMessage]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if address in self.unknown:
            return "550 no such person"
        if address in self.delayed:
            return "451 come back later"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        if self.refusing:
            return "451 come back later"
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        self.raw.append(envelope.original_content or b"")
        self.received.append((list(map(str, envelope.rcpt_tos)), message))
        return "250 taken"

    def mailer(self, *, port: int = 0, starttls: bool = False) -> Mailer:
        return Mailer(
            host="127.0.0.1",
            port=port or self.port,
            sender="pulse@p.example",
            starttls=starttls,
            user="pulse" if starttls else "",
            password="p" * 20,
        )


@contextmanager
def running_post(tls: ssl.SSLContext | None = None) -> Iterator[Post]:
    post = Post(free_port())
    controller = Controller(post, hostname="127.0.0.1", port=post.port, tls_context=tls)
    controller.start()
    try:
        yield post
    finally:
        controller.stop()
