"""What is really connected to: a name server that changes its mind, redirects, endless and silent answers."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import zlib
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import dns.asyncresolver
import pytest
from dnslib import AAAA, CNAME, QTYPE, RR, A  # type: ignore[import-untyped]  # it has no types
from dnslib.server import BaseResolver, DNSServer  # type: ignore[import-untyped]  # it has no types
from services.delivery_worker.tests.endpoints import Endpoint, serving

from delivery_worker.calls import MOST_SHOWN_BYTES, Caller
from delivery_worker.sockets import DnsResolver
from delivery_worker.targets import Rules
from pulse_common.clock import system_clock
from pulse_local.tls import ensure_tls_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from dnslib import DNSRecord

pytestmark = pytest.mark.anyio

LOOPBACK = (ipaddress.ip_network("127.0.0.1/32"),)


class Names(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    """A name server of an attacker: each question of a kind gets the next answer, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[list[str]] = [[]]
        self.asked: list[str] = []

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        reply = request.reply()
        kind = QTYPE[request.q.qtype]
        # A and AAAA are asked at once and come in either order.
        answers = self.answers[min(self.asked.count(kind), len(self.answers) - 1)]
        self.asked.append(kind)
        owner = request.q.qname
        for text in answers:
            if text.endswith(".example"):
                reply.add_answer(RR(owner, QTYPE.CNAME, rdata=CNAME(text), ttl=0))
                owner = text
            elif (kind == "AAAA") == (":" in text):
                record = AAAA(text) if ":" in text else A(text)
                reply.add_answer(RR(owner, request.q.qtype, rdata=record, ttl=0))
        return reply


@pytest.fixture
def names() -> Iterator[Names]:
    names = Names()
    server = DNSServer(names, port=0, address="127.0.0.1")
    names.port = server.server.server_address[1]
    server.start_thread()
    yield names
    server.server.shutdown()
    server.server.server_close()


def resolver_of(names: Names) -> DnsResolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], names.port
    return DnsResolver(resolver)


@contextlib.asynccontextmanager
async def calling(
    port: int, names: Names | None = None, *, open_loopback: bool = True
) -> AsyncIterator[Caller]:
    rules = Rules(
        schemes=frozenset({"http"}),
        ports=frozenset({port}),
        networks=LOOPBACK if open_loopback else (),
    )
    caller = Caller(rules, resolver_of(names) if names else None)
    yield caller
    await caller.close()


async def test_name_that_leads_inside_is_not_connected_to(names: Names) -> None:
    names.answers = [["127.0.0.1"]]
    async with serving() as inside, calling(inside.port, names, open_loopback=False) as caller:
        attempt = await caller.post(f"http://a.example:{inside.port}/", {}, b"{}", seconds=5)

        assert (attempt.stage, attempt.status) == ("before", None)
        assert inside.connections == 0


@pytest.mark.parametrize(
    "inside",
    [
        *("127.0.0.1", "::1", "::ffff:7f00:1", "::7f00:1", "169.254.169.254", "100.64.0.1"),
        # NAT64, both prefixes, and 6to4, Teredo, unique local, link-local, multicast.
        *("64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::"),
        *("fd00:ec2::254", "fe80::1", "ff02::1", "224.0.0.1", "0.0.0.0"),  # noqa: S104 -- not to bind
    ],
)
async def test_one_private_answer_among_public_ones_refuses_the_name(
    names: Names, inside: str
) -> None:
    names.answers = [["8.8.8.8", "2606:4700:4700::1111", inside]]
    async with serving() as endpoint, calling(endpoint.port, names, open_loopback=False) as caller:
        attempt = await caller.post(f"http://a.example:{endpoint.port}/", {}, b"{}", seconds=5)

        assert attempt.error == "the address is not on the public internet"
        assert endpoint.connections == 0


async def test_name_that_is_rebound_after_it_was_verified_is_never_connected_to(
    names: Names,
) -> None:
    """Each call resolves, checks and pins anew: a kept connection leads where it was checked to lead."""
    names.answers = [["127.0.0.1"], ["127.0.0.1"], ["10.0.0.1", "127.0.0.1"]]
    async with serving() as endpoint, calling(endpoint.port, names) as caller:
        endpoint.headers = "connection: close\r\n"
        url = f"http://a.example:{endpoint.port}/"
        made = [await caller.post(url, {}, b"{}", seconds=5) for _ in range(4)]

        assert [one.delivered for one in made] == [True, True, False, False]
        assert made[3].error == "the address is not on the public internet"
        assert endpoint.connections == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("leads", ["http://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "/inside"])
async def test_no_kind_of_redirect_is_followed(status: int, leads: str) -> None:
    async with serving() as inside, serving() as outside, calling(outside.port) as caller:
        outside.status = status
        outside.headers = f"location: {leads.format(port=inside.port)}\r\n"

        attempt = await caller.post(outside.url, {}, b"{}", seconds=5)

        assert (attempt.status, attempt.delivered) == (status, False)
        assert (inside.connections, len(outside.received)) == (0, 1)


async def test_rebinding_between_check_and_connection_changes_nothing(names: Names) -> None:
    # The first answer may be called; whoever asked again would be led to where nobody may go.
    names.answers = [["127.0.0.1"], ["127.0.0.2"]]
    async with serving() as allowed, calling(allowed.port, names) as caller:
        first = await caller.post(f"http://a.example:{allowed.port}/", {}, b"{}", seconds=5)
        asked_once = sorted(names.asked)
        allowed.headers = ""
        second_caller = Caller(
            Rules(schemes=frozenset({"http"}), ports=frozenset({allowed.port}), networks=LOOPBACK),
            resolver_of(names),
        )
        second = await second_caller.post(f"http://a.example:{allowed.port}/", {}, b"{}", seconds=5)
        await second_caller.close()

        assert first.delivered
        assert asked_once == ["A", "AAAA"]
        assert allowed.received[0].headers["host"] == f"a.example:{allowed.port}"
        assert second.error == "the address is not on the public internet"
        assert allowed.connections == 1


async def test_name_without_an_address_fails_before_anything(names: Names) -> None:
    async with calling(80, names) as caller:
        attempt = await caller.post("http://nobody.example/", {}, b"{}", seconds=8)

    assert (attempt.stage, attempt.error) == ("before", "the host's name has no address")


async def test_redirects_are_answers_and_not_followed() -> None:
    async with serving() as inside, serving() as outside, calling(outside.port) as caller:
        outside.status = 302
        outside.headers = f"location: {inside.url}\r\n"

        attempt = await caller.post(outside.url, {}, b"{}", seconds=5)

        assert (attempt.status, attempt.error) == (302, "the endpoint answered 302")
        assert inside.connections == 0


async def test_long_answer_is_cut_and_shown_up_to_a_kibibyte() -> None:
    endpoint = Endpoint(body="\x00é".encode() * 5_000_000, echoes_challenge=False)
    async with serving(endpoint), calling(endpoint.port) as caller:
        attempt = await caller.post(endpoint.url, {}, b"{}", seconds=5)

        assert attempt.delivered
        assert 0 < len(attempt.body.encode()) <= MOST_SHOWN_BYTES
        assert "\x00" not in attempt.body


async def test_connections_are_used_again_and_closed_when_nobody_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as busy, serving() as quiet:
        ports = frozenset({busy.port, quiet.port})
        rules = Rules(schemes=frozenset({"http"}), ports=ports, networks=LOOPBACK)
        caller = Caller(rules)
        for _ in range(3):
            await caller.post(busy.url, {}, b"{}", seconds=5)
            await caller.post(quiet.url, {}, b"{}", seconds=5)
        kept = (busy.connections, quiet.connections)
        monkeypatch.setattr("delivery_worker.connections.KEEP_SECONDS", 0.0)
        await caller.post(busy.url, {}, b"{}", seconds=5)
        monkeypatch.undo()
        await caller.post(quiet.url, {}, b"{}", seconds=5)
        await caller.close()

    assert kept == (1, 1)
    assert quiet.connections == 2


async def test_silent_endpoint_costs_its_time_and_no_more() -> None:
    async with serving(Endpoint(hangs=True)) as endpoint, calling(endpoint.port) as caller:
        attempt = await caller.post(endpoint.url, {}, b"{}", seconds=0.3)

        assert attempt.stage == "during"
        assert 250 <= attempt.latency_ms < 2000


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\nx"]
)
async def test_broken_answer_is_a_failed_attempt(answer: bytes) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with calling(port) as caller:
        attempt = await caller.post(f"http://127.0.0.1:{port}/", {}, b"{}", seconds=5)
    server.close()

    assert (attempt.stage, attempt.delivered) == ("during", False)


@contextlib.asynccontextmanager
async def answering(parts: AsyncIterator[bytes]) -> AsyncIterator[int]:
    """Answer on a port with what ``parts`` gives, whatever is asked: none of it has to be HTTP."""
    at_work: set[asyncio.Task[None]] = set()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            at_work.add(task)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            async for part in parts:
                writer.write(part)
                await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in at_work:
        task.cancel()
    await asyncio.wait(at_work)


async def drops(first: bytes, drop: bytes, wait: float, most: int = 10_000) -> AsyncIterator[bytes]:
    yield first
    for _ in range(most):
        await asyncio.sleep(wait)
        yield drop


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"H", b"T"),
        (b"HTTP/1.1 200 X\r\n", b"x: y\r\n"),
        (b"HTTP/1.1 200 X\r\ncontent-length: 99999\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["status line", "headers", "body", "chunks", "interim answers"],
)
async def test_answer_that_comes_drop_by_drop_ends_with_the_time_out(
    first: bytes, drop: bytes
) -> None:
    async with answering(drops(first, drop, 0.05)) as port, calling(port) as caller:
        attempt = await caller.post(f"http://127.0.0.1:{port}/", {}, b"{}", seconds=0.6)

    assert (attempt.delivered, attempt.stage) == (False, "during")
    assert attempt.latency_ms < 2000


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"HTTP/1.1 200 X\r\nx: ", b"y" * 65536),
        (b"HTTP/1.1 200 X\r\n", b"x: " + b"y" * 65536 + b"\r\n"),
        (b"", b"y" * 65536),
    ],
    ids=["one header", "many headers", "no line's end"],
)
async def test_head_of_an_answer_without_an_end_is_not_read_to_its_end(
    first: bytes, drop: bytes
) -> None:
    sent = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal sent
        async for part in drops(first, drop, 0, most=4000):
            sent += len(part)
            yield part

    async with answering(flood()) as port, calling(port) as caller:
        attempt = await caller.post(f"http://127.0.0.1:{port}/", {}, b"{}", seconds=10)

    assert (attempt.delivered, attempt.stage) == (False, "during")
    assert attempt.error == "the connection broke, or the answer was not HTTP"
    assert sent < 16 * 1024 * 1024


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
async def test_packed_answer_is_never_unpacked(encoding: str) -> None:
    bomb = zlib.compress(b"\x00" * 50_000_000)
    endpoint = Endpoint(
        body=bomb, headers=f"content-encoding: {encoding}\r\n", echoes_challenge=False
    )
    async with serving(endpoint), calling(endpoint.port) as caller:
        attempt = await caller.post(endpoint.url, {}, b"{}", seconds=5)

        assert endpoint.received[0].headers["accept-encoding"] == "identity"
        assert attempt.delivered
        assert attempt.body.encode().startswith(b"x")
        assert len(attempt.body.encode()) <= MOST_SHOWN_BYTES


async def test_no_proxy_and_no_password_file_of_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login hush password hush\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with serving() as proxy, serving() as endpoint:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with calling(endpoint.port) as caller:
            attempt = await caller.post(endpoint.url, {}, b"{}", seconds=5)

        assert attempt.delivered
        assert proxy.connections == 0
        assert "authorization" not in endpoint.received[0].headers


async def test_alias_that_leads_inside_is_not_connected_to(names: Names) -> None:
    names.answers = [["alias.example", "127.0.0.1"]]
    async with serving() as inside, calling(inside.port, names, open_loopback=False) as caller:
        attempt = await caller.post(f"http://a.example:{inside.port}/", {}, b"{}", seconds=5)

        assert attempt.error == "the address is not on the public internet"
        assert inside.connections == 0


async def test_second_address_is_called_when_the_first_does_not_answer(names: Names) -> None:
    names.answers = [["127.0.0.2", "127.0.0.1"]]
    async with serving() as endpoint:
        both = (*LOOPBACK, ipaddress.ip_network("127.0.0.2/32"))
        rules = Rules(schemes=frozenset({"http"}), ports=frozenset({endpoint.port}), networks=both)
        caller = Caller(rules, resolver_of(names))
        attempt = await caller.post(f"http://a.example:{endpoint.port}/", {}, b"{}", seconds=5)
        await caller.close()

        assert attempt.delivered


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("120", 120, 120),
        (" 7 ", 7, 7),
        (format_datetime(system_clock() + timedelta(hours=1), usegmt=True), 3500, 3601),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0, 0),
        ("999999999", 999_999_999, 999_999_999),
    ],
)
async def test_what_an_endpoint_asks_to_wait_is_read(said: str, least: float, most: float) -> None:
    endpoint = Endpoint(status=429, headers=f"Retry-After: {said}\r\n")
    async with serving(endpoint), calling(endpoint.port) as caller:
        attempt = await caller.post(endpoint.url, {}, b"{}", seconds=5)

        assert attempt.asked_to_wait is not None
        assert least <= attempt.asked_to_wait <= most


@pytest.mark.parametrize(
    "said", ["", "soon", "-5", "1e9", "1.5", "9" * 400, "Mon, 99 Foo 2001 00:00:00 GMT", "\xe9"]
)
async def test_odd_wish_to_wait_is_none(said: str) -> None:
    endpoint = Endpoint(status=503, headers=f"Retry-After: {said}\r\n")
    async with serving(endpoint), calling(endpoint.port) as caller:
        attempt = await caller.post(endpoint.url, {}, b"{}", seconds=5)

        assert (attempt.status, attempt.asked_to_wait) == (503, None)


async def test_tls_is_for_the_name_though_the_socket_gets_the_address(
    names: Names, tmp_path: Path
) -> None:
    files = ensure_tls_files(tmp_path, system_clock())
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(files.certificate, files.key)
    asked: list[str | None] = []
    server_side.sni_callback = lambda _socket, name, _context: asked.append(name)
    endpoint = Endpoint()
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0, ssl=server_side)
    port = server.sockets[0].getsockname()[1]
    names.answers = [["127.0.0.1"]]
    rules = Rules(ports=frozenset({port}), networks=LOOPBACK)
    trust = ssl.create_default_context(cafile=str(files.ca))
    caller = Caller(rules, resolver_of(names), trust)

    # The certificate is localhost's: another name must not pass, though the address is the same.
    mine = await caller.post(f"https://127.0.0.1:{port}/", {}, b"{}", seconds=5)
    endpoint.received.clear()
    asked.clear()
    attempt = await caller.post(f"https://other.example:{port}/", {}, b"{}", seconds=5)
    await caller.close()
    server.close()

    assert mine.delivered
    assert asked == ["other.example"]
    assert (attempt.stage, endpoint.received) == ("before", [])
