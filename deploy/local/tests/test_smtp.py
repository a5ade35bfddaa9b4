"""The mail sink: what the stack sends ends up in a file, and nowhere else."""

from __future__ import annotations

import smtplib
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import TYPE_CHECKING

from pulse_local.leftovers import Registry
from pulse_local.parts import plan_smtp
from pulse_local.processes import Part

if TYPE_CHECKING:
    from pathlib import Path

    from pulse_local.ports import Ports


def test_message_is_kept_with_its_envelope(tmp_path: Path, ports: Ports) -> None:
    planned = plan_smtp(ports.smtp, tmp_path / "mail")
    part = Part(planned.command, logs=tmp_path / "logs", registry=Registry(tmp_path / "parts.json"))
    part.start()
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "pulse@pulse.example",
        "alice@acme.example",
        "Certificate",
    )
    message.set_content("It expires in 7 days. Grüße")

    with smtplib.SMTP("127.0.0.1", ports.smtp, timeout=5) as client:
        client.send_message(message, to_addrs=["alice@acme.example", "bcc@acme.example"])

    part.stop()
    (kept,) = (tmp_path / "mail").glob("*.eml")
    found = message_from_bytes(kept.read_bytes(), policy=policy.default)
    assert found["X-Envelope-To"] == "alice@acme.example, bcc@acme.example"
    assert found["Subject"] == "Certificate"
    assert "Grüße" in found.get_content()
