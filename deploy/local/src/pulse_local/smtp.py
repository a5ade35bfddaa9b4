"""A mail sink: keeps every message that the stack sends as an .eml file."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from aiosmtpd.smtp import Envelope, Session

_LARGEST_MESSAGE_BYTES = 10 * 1024 * 1024


class MailFolder:
    """aiosmtpd's handler: one file a message, named by time so that they list in order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep the message with its envelope on top, since Bcc recipients appear nowhere else."""
        del server, session
        name = f"{time.time_ns()}-{secrets.token_hex(3)}.eml"
        recipients = ", ".join(envelope.rcpt_tos)
        head = f"X-Envelope-From: {envelope.mail_from}\r\nX-Envelope-To: {recipients}\r\n"
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        # Written under another name first: a test that waits for *.eml never reads half a message.
        part = self._folder / f".{name}.part"
        part.write_bytes(head.encode() + content)
        part.rename(self._folder / name)
        return "250 kept"


async def serve(folder: Path, port: int) -> None:
    """Listen on the loopback until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    handler = MailFolder(folder)
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="localhost", data_size_limit=_LARGEST_MESSAGE_BYTES),
        host="127.0.0.1",
        port=port,
    )
    async with server:
        await stopping.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="pulse_local.smtp", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    arguments.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(serve(arguments.folder, arguments.port))


if __name__ == "__main__":
    main()
