"""Which addresses may be called: the public internet, and what the operator allows by name.

An allow-list by construction: IPv6 outside of 2000::/3 is refused whatever it embeds (IPv4-mapped and -compatible,
NAT64, unique local, link-local, multicast), and what is special within is refused by the registries of IANA.
Python's ``is_global`` is not asked: it is wrong for more than half of the addresses in other filters' tests.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# https://www.iana.org/assignments/iana-ipv4-special-registry, with multicast, class E and Azure's platform address.
_REFUSED_4: Final = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
_GLOBAL_6: Final = ipaddress.IPv6Network("2000::/3")
# https://www.iana.org/assignments/iana-ipv6-special-registry, with 6bone: Teredo is in 2001::/23, 6to4 is 2002::/16.
_REFUSED_6: Final = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "2620:4f:8000::/48",
        "3ffe::/16",
        "3fff::/20",
    )
)
# Interface identifiers that carry an IPv4 address: ISATAP's (RFC 5214), with either bit of its first octets.
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})


def is_callable(address: Address, allowed: Iterable[Network] = ()) -> bool:
    """Say whether a socket may be connected to ``address``; ``allowed`` is the operator's list."""
    if any(address in network for network in allowed):
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _REFUSED_4)
    if address not in _GLOBAL_6 or address.scope_id is not None:
        return False
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return False
    return not any(address in network for network in _REFUSED_6)
