"""Connections to checked addresses only: a name is resolved, every answer checked, and the socket gets the address.

Nothing resolves the name again: TLS gets it for SNI and the certificate, HTTP for its Host.  A server that answers one
address to a check and another to a connection therefore changes nothing.  Names are asked of the resolvers of
/etc/resolv.conf without search lists and without threads, so that a name server that hangs holds up its own lane alone.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING, Protocol

import dns.asyncresolver
import dns.exception
import dns.resolver
import httpcore2

from delivery_worker.targets import Rules, TargetRefused, address_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from delivery_worker.addresses import Address

CONNECT_SECONDS = 5.0
RESOLVE_SECONDS = 4.0
MOST_ADDRESSES = 3


class Resolver(Protocol):
    async def resolve(self, host: str) -> Sequence[Address]:
        """Return the addresses of ``host``; raise ``TargetRefused`` when there are none."""


class DnsResolver:
    """Asks for A and AAAA at once; answers are not kept, the servers do that."""

    def __init__(self, resolver: dns.asyncresolver.Resolver | None = None) -> None:
        self._resolver = resolver or dns.asyncresolver.Resolver()

    async def resolve(self, host: str) -> Sequence[Address]:
        found = await asyncio.gather(self._ask(host, "A"), self._ask(host, "AAAA"))
        addresses = [address for answer in found for address in answer]
        if not addresses:
            raise TargetRefused("the host's name has no address")
        return addresses

    async def _ask(self, host: str, kind: str) -> list[Address]:
        try:
            answer = await self._resolver.resolve(
                f"{host}.", kind, lifetime=RESOLVE_SECONDS, search=False
            )
        except (dns.exception.DNSException, OSError):
            return []
        return [ipaddress.ip_address(record.to_text()) for record in answer]


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """Every socket of the HTTP client is opened here."""

    def __init__(self, rules: Rules, resolver: Resolver) -> None:
        self._rules = rules
        self._resolver = resolver
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002 -- the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to one of the host's addresses, all of which must be callable.

        Raises:
            TargetRefused: the port or one of the addresses is refused.
            httpcore2.ConnectError, httpcore2.ConnectTimeout: none of them answers.
        """
        if port not in self._rules.ports:
            raise TargetRefused(f"port {port} is not called")
        literal = address_of(host)
        addresses = await self._resolver.resolve(host) if literal is None else [literal]
        # One bad answer among good ones is an attempt to be rebound, not a choice.
        for address in addresses:
            self._rules.require_callable(address)
        trouble: Exception = httpcore2.ConnectError("no address")
        for address in addresses[:MOST_ADDRESSES]:
            try:
                stream = await self._sockets.connect_tcp(
                    str(address), port, CONNECT_SECONDS, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                trouble = error
            else:
                return await self._confirmed(stream)
        raise trouble

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002 -- the library's signature
        timeout: float | None = None,  # noqa: ASYNC109, ARG002 -- the library's signature
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002 -- as above
    ) -> httpcore2.AsyncNetworkStream:
        raise TargetRefused("sockets of this machine are not called")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _confirmed(
        self, stream: httpcore2.AsyncNetworkStream
    ) -> httpcore2.AsyncNetworkStream:
        """Ask the socket itself where it leads, before a byte is sent."""
        peer = stream.get_extra_info("server_addr")
        try:
            self._rules.require_callable(ipaddress.ip_address(peer[0]))
        except TargetRefused:
            await stream.aclose()
            raise
        return stream
