"""What is really connected to: a name server that changes its mind, redirects, endless and silent answers."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from typing import TYPE_CHECKING

import dns.asyncresolver
import pytest
from dnslib import AAAA, CNAME, QTYPE, RR, A  # type: ignore[import-untyped]  # it has no types
from dnslib.server import BaseResolver, DNSServer  # type: ignore[import-untyped]  # it has no types
from services.delivery_worker.tests.endpoints import Endpoint, serving

from delivery_worker.calls import Caller
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
