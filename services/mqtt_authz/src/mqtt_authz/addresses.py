"""What counts as one place on the network: an IPv4 address, or one /64 of IPv6."""

from __future__ import annotations

import ipaddress


def network_of(address: str) -> str:
    """Return the place of an address as the broker writes it; what is no address stays as it is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004 -- of the protocol
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
