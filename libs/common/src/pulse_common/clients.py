"""Whose tokens count: clients by their exact name, and tenants' programs by one prefix.

Every tenant's programs have clients of their own (``pulse-api-acme-erp``), made and dropped while the services run, so
they cannot be listed in a setting.  A prefix is as good as a list only while nobody but an administrator of the realm
makes clients: the realm's registration doors are closed, and the edge answers 404 there.  What is let in by the prefix
is a tenant's program and nothing else: ``pulse_common.jwt`` refuses an operator's role on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

if TYPE_CHECKING:
    from collections.abc import Collection

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.ASCII)
#: Long enough to be meant, and ended by a dash: ``pulse*`` would let pulse-ui-admin in.
_PREFIX = re.compile(r"[a-z0-9][a-z0-9-]{2,48}-", re.ASCII)
#: What may stand behind the prefix, as ``deploy/keycloak/make_api_client.py`` names them.
_PROGRAM = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AllowedClients:
    """``names`` are exact, ``prefix`` is of tenants' programs; None lets none in."""

    names: frozenset[str]
    prefix: str | None = None

    def is_named(self, client: str) -> bool:
        return client in self.names

    def is_program(self, client: str) -> bool:
        if self.prefix is None or not client.startswith(self.prefix):
            return False
        return _PROGRAM.fullmatch(client.removeprefix(self.prefix)) is not None


def exactly(names: Collection[str]) -> AllowedClients:
    """Let in these clients and no program."""
    # A bare string would turn "is in" into "is part of".
    return AllowedClients(frozenset([names] if isinstance(names, str) else names))


def parse_clients(text: str) -> AllowedClients:
    """Read ``pulse-ui,pulse-api-*``: names, and at most one prefix that ends in ``-*``.

    Raises:
        ValueError: nobody would be let in, or more than is meant.
    """
    entries = [entry.strip() for entry in text.split(",")]
    prefixes = [entry[:-1] for entry in entries if entry.endswith("*")]
    names = frozenset(entry for entry in entries if not entry.endswith("*"))
    if not names or not all(_NAME.fullmatch(name) for name in names):
        raise ValueError("must be client names, separated by commas")
    if len(prefixes) > 1 or not all(_PREFIX.fullmatch(prefix) for prefix in prefixes):
        raise ValueError("at most one entry may end in -*, as pulse-api-* does")
    prefix = prefixes[0] if prefixes else None
    if prefix is not None and any(name.startswith(prefix) for name in names):
        raise ValueError(f"a name that begins with {prefix} would be two things at once")
    return AllowedClients(names, prefix)


def _read(value: object) -> object:
    return parse_clients(value) if isinstance(value, str) else value


ClientsSetting = Annotated[AllowedClients, NoDecode, BeforeValidator(_read)]
"""Comma-separated clients, as in OIDC_ALLOWED_CLIENTS."""

DEFAULT_CLIENTS = parse_clients("pulse-ui,pulse-api-*")
"""Those of the shipped realm."""
