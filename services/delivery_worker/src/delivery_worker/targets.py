"""Where a webhook may lead: a URL is read once, strictly, and everything after works on what was read.

Two parsers that differ are how filters are fooled, so there is one: what it does not know it refuses.  A host is a name
in ASCII with a dot, or an address in its one canonical form.  Redirects are never followed (a 3xx is a failed attempt):
there is no second URL to check.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from delivery_worker.addresses import Address, Network, is_callable

if TYPE_CHECKING:
    from urllib.parse import SplitResult

LONGEST_URL: Final = 2000
LONGEST_HOST: Final = 253
_TEXT: Final = re.compile(r"[!-~]+")
_LABEL: Final = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")
# What resolvers read as a number (WHATWG URL, "ends in a number"): 127.1, 0x7f.1, 017700000001.
_NUMBER: Final = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


class TargetRefused(Exception):  # noqa: N818 -- reads as an outcome
    """This address is not called; the message says why, and nothing of what is behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the operator allows; as shipped, HTTPS on port 443 of the public internet."""

    schemes: frozenset[str] = frozenset({"https"})
    ports: frozenset[int] = frozenset({443})
    networks: tuple[Network, ...] = field(default=())

    def require_callable(self, address: Address) -> None:
        """Raise ``TargetRefused`` unless a socket may be connected to ``address``."""
        if not is_callable(address, self.networks):
            raise TargetRefused("the address is not on the public internet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL that was read: the scheme, host and port to connect to, and what to ask for there."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def read_target(url: str, rules: Rules) -> Target:
    """Read ``url`` as something that may be called, as far as its text tells.

    Raises:
        TargetRefused: it is not, or could be read in two ways.
    """
    if len(url) > LONGEST_URL or not _TEXT.fullmatch(url) or any(c in url for c in '\\#<>"{}|^`'):
        raise TargetRefused("the URL must be plain ASCII, without a fragment")
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in rules.schemes:
        raise TargetRefused(f"the URL must begin with {' or '.join(sorted(rules.schemes))}://")
    try:
        parts = urlsplit(url)
        port = _DEFAULT_PORTS[scheme] if parts.port is None else parts.port
    except ValueError:
        raise TargetRefused("the URL cannot be read") from None
    if "@" in parts.netloc or parts.netloc.endswith(":"):
        raise TargetRefused("the URL must not hold a user name, nor an empty port")
    if port not in rules.ports:
        raise TargetRefused(f"port {port} is not called")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme=scheme, host=_read_host(parts, rules), port=port, path=path)


def address_of(host: str) -> Address | None:
    """Return the address that ``host`` is, None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _read_host(parts: SplitResult, rules: Rules) -> str:
    host = (parts.hostname or "").lower()
    address = None if "%" in host else address_of(host)
    if address is not None:
        rules.require_callable(address)
        return str(address)
    # In brackets there are IPv6 addresses, and RFC 3986's "future" ones, which would pass for names.
    if parts.netloc.startswith("[") or len(host) > LONGEST_HOST or not _NAME.fullmatch(host):
        raise TargetRefused("the host must be a full name in ASCII, or an address")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise TargetRefused("the host is a number in a form that is not taken")
    return host
