"""Whose address a request came from: the word of our own proxy, and of nobody else.

Anybody can send ``X-Forwarded-For``, and a proxy that appends to it keeps what they sent in front.  So the header
counts only when the TCP peer is a trusted proxy, and then the right-most address that is not one of ours: whatever
stands left of it was written by a stranger.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import HTTPConnection

LONGEST_USER_AGENT = 300

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")


def client_address(connection: HTTPConnection, trusted: Iterable[Network]) -> str | None:
    """Return the client's address for audit and rate limits, or None where there is no TCP peer (a UNIX socket).

    ``connection`` is a request or a WebSocket; ``trusted`` are the networks of TRUSTED_PROXIES.
    """
    peer = connection.client.host if connection.client else None
    forwarded = connection.headers.getlist("x-forwarded-for")
    return address_behind(peer, forwarded, trusted)


def from_a_proxy(connection: HTTPConnection, trusted: Iterable[Network]) -> bool:
    """Say whether the TCP peer is one of ours, so that what only a proxy may say counts."""
    peer = _parse(connection.client.host) if connection.client else None
    return peer is not None and any(peer in network for network in trusted)


def user_agent(connection: HTTPConnection) -> str | None:
    """Return what the client says that it is, fit to be kept: one short line, believed for nothing."""
    said = connection.headers.get("user-agent", "")
    shown = "".join(character for character in said if character.isprintable())
    return shown[:LONGEST_USER_AGENT] or None


def address_behind(
    peer: str | None, forwarded: Iterable[str], trusted: Iterable[Network]
) -> str | None:
    """As ``client_address``: ``forwarded`` are the X-Forwarded-For lines in their order.

    A malformed entry that would have to be believed makes the whole header worthless: the answer is the peer then.
    The same when every entry is a trusted proxy, since none of them is a client.
    """
    nearest = _parse(peer or "")
    if nearest is None:
        return peer
    networks = tuple(trusted)
    if not _within(nearest, networks):
        return str(nearest)
    for entry in reversed(",".join(forwarded).split(",")):
        address = _parse(entry.strip(" \t"))
        if address is None:
            break
        if not _within(address, networks):
            return str(address)
    return str(nearest)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read comma-separated networks in CIDR form; a bare address is a network of one.

    Raises:
        ValueError: one is malformed, has host bits set, or holds every address there is.
    """
    entries = [entry.strip() for entry in text.split(",")]
    return tuple(_network(entry) for entry in entries if entry)


def _network(text: str) -> Network:
    network = ip_network(text)
    if network.prefixlen == 0:
        raise ValueError(f"{text} would let every client choose its own address")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        # Peers are compared in their IPv4 form, so their networks must be, too.
        start = IPv4Address(int(network.network_address) & 0xFFFF_FFFF)
        return IPv4Network((start, network.prefixlen - _MAPPED.prefixlen))
    return network


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _parse(text: str) -> Address | None:
    """Read one bare address; ports, brackets, names and obfuscated forms are nothing that our proxy writes."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    # A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d. A zone says which of our own interfaces, not who.
    return address.ipv4_mapped or IPv6Address(int(address))
