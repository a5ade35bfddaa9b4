"""A mail goes to exactly those who are named, and to no server that cannot show who it is."""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.parts import free_port
from tests.post import Post, running_post

from pulse_common.clock import system_clock
from pulse_common.errors import Unavailable
from pulse_common.mail import Mailer, Undeliverable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def post() -> Iterator[Post]:
    with running_post() as found:
        yield found


async def test_a_mail_arrives_as_it_was_written(post: Post) -> None:
    await post.mailer().send(["a@acme.example", "b@acme.example"], "Glass", "Grüße\nvon Pulse")

    ((recipients, message),) = post.received
    assert recipients == ["a@acme.example", "b@acme.example"]
    assert (message["from"], message["to"]) == ("pulse@p.example", "a@acme.example, b@acme.example")
    assert message["subject"] == "Glass"
    assert message.get_content().splitlines() == ["Grüße", "von Pulse"]
    assert message["message-id"].endswith("@p.example>")
    assert abs((message["date"].datetime - system_clock()).total_seconds()) < 60
    assert message["auto-submitted"] == "auto-generated"
    assert message["list-unsubscribe"] is None


async def test_no_header_can_be_added_through_a_subject(post: Post) -> None:
    with pytest.raises(ValueError, match="linefeed or carriage return"):
        await post.mailer().send(["a@acme.example"], "Glass\nBcc: x@evil.example", "text")

    assert post.received == []


@pytest.mark.parametrize(
    "address",
    [
        "a@acme.example, x@evil.example",
        "a@acme.example\r\nBcc: x@evil.example",
        "<x@evil.example>a@acme.example",
        "a@acme.example\x00",
        "a",
        "",
    ],
)
async def test_no_address_brings_another_one_along(post: Post, address: str) -> None:
    with pytest.raises(ValueError, match="not an e-mail address"):
        await post.mailer().send(["b@acme.example", address], "Glass", "text")

    assert post.received == []


async def test_a_mail_carries_a_link_that_ends_it_with_one_click(post: Post) -> None:
    url = "https://pulse.example/unsubscribe/" + "x" * 300

    await post.mailer().send(["a@acme.example"], "Digest", "text", unsubscribe_url=url)

    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in post.raw[0]
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in post.raw[0]


async def test_a_link_that_ends_mails_goes_to_nobody_else(post: Post) -> None:
    with pytest.raises(ValueError, match="one address"):
        await post.mailer().send(
            ["a@acme.example", "b@acme.example"], "Digest", "text", unsubscribe_url="https://p/x"
        )

    assert post.received == []


async def test_an_address_that_does_not_exist_is_told_apart_from_a_server_that_is_away(
    post: Post,
) -> None:
    post.unknown.add("gone@acme.example")

    with pytest.raises(Undeliverable):
        await post.mailer().send(["gone@acme.example"], "Glass", "text")
    post.refusing = True
    with pytest.raises(Unavailable) as now:
        await post.mailer().send(["a@acme.example"], "Glass", "text")

    assert not isinstance(now.value, Undeliverable)


async def test_a_server_that_is_away_or_refuses_is_unavailable(post: Post) -> None:
    post.refusing = True

    with pytest.raises(Unavailable):
        await post.mailer().send(["a@acme.example"], "Glass", "text")
    with pytest.raises(Unavailable):
        await post.mailer(port=free_port()).send(["a@acme.example"], "Glass", "text")


async def test_a_server_without_the_demanded_tls_gets_neither_mail_nor_password(post: Post) -> None:
    mailer = post.mailer(starttls=True)

    with pytest.raises(Unavailable):
        await mailer.send(["a@acme.example"], "Glass", "text")

    assert post.received == []


async def test_a_server_that_nobody_vouches_for_gets_neither_mail_nor_password(
    tmp_path: Path,
) -> None:
    with running_post(_context(tmp_path)) as post:
        mailer = post.mailer(starttls=True)

        with pytest.raises(Unavailable):
            await mailer.send(["a@acme.example"], "Glass", "text")

    assert post.received == []


def test_a_password_is_not_shown() -> None:
    assert "hidden" not in repr(Mailer(host="h", port=1, sender="s", password="hidden"))


def _context(folder: Path) -> ssl.SSLContext:
    """Make a certificate that nobody signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = system_clock()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "post.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
