"""Identifiers: UUIDv7 for rows that are read in time order, canonical UUIDs at the edges."""

from __future__ import annotations

import os
import re
import time
from uuid import UUID

from pulse_common.errors import Malformed

PLATFORM_TENANT = UUID(int=0)
"""The tenant of the platform's own audit rows and events; no customer can have it."""

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_id() -> UUID:
    """Make a UUIDv7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    tail = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | tail
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def parse_uuid(text: str) -> UUID:
    """Read a UUID in its canonical lower-case form only, so that one thing has one name.

    Raises:
        ValueError: for anything else, braces, upper case and ``urn:uuid:`` included.
    """
    if not _CANONICAL.fullmatch(text):
        raise ValueError("not a UUID in lower case")
    return UUID(text)


def parse_id(text: str, name: str) -> UUID:
    """As ``parse_uuid``, for what a caller sent under ``name``.

    Raises:
        Malformed: it is not canonical.
    """
    try:
        return parse_uuid(text)
    except ValueError:
        raise Malformed(f"{name} must be a UUID in lower case") from None
