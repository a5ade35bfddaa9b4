"""Write the few pieces of DER (X.690) that a revocation list and a signature are made of."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
ENUMERATED = 0x0A
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
CONTEXT_0 = 0xA0
TRUE = b"\x01\x01\xff"
_SHORT = 0x80
_FIRST_GENERALIZED_YEAR = 2050
_BASE_128 = 0x80


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < _SHORT:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _SHORT | len(length))) + length + content


def sequence(parts: Iterable[bytes]) -> bytes:
    return tlv(SEQUENCE, b"".join(parts))


def integer(value: int) -> bytes:
    """Encode a number that is not negative; a leading zero keeps a high first bit from reading as a sign."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def enumerated(value: int) -> bytes:
    return tlv(ENUMERATED, bytes((value,)))


def bit_string(content: bytes) -> bytes:
    return tlv(BIT_STRING, b"\x00" + content)


def object_identifier(dotted: str) -> bytes:
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return tlv(0x06, b"".join(_base_128(arc) for arc in (first * 40 + second, *rest)))


def time(value: datetime) -> bytes:
    """Encode to the second, as RFC 5280 section 4.1.2.5 wants it: UTCTime through 2049."""
    utc = value.astimezone(UTC)
    if utc.year < _FIRST_GENERALIZED_YEAR:
        return tlv(UTC_TIME, utc.strftime("%y%m%d%H%M%SZ").encode())
    return tlv(GENERALIZED_TIME, utc.strftime("%Y%m%d%H%M%SZ").encode())


def extension(dotted: str, value: bytes, *, critical: bool) -> bytes:
    return sequence(
        (object_identifier(dotted), TRUE if critical else b"", tlv(OCTET_STRING, value))
    )


def _base_128(arc: int) -> bytes:
    digits = [arc % _BASE_128]
    while arc := arc // _BASE_128:
        digits.append(arc % _BASE_128 | _BASE_128)
    return bytes(reversed(digits))
