"""Public keys that can be broken, or that everybody has: no certificate for them.

The RSA checks (ROCA, Fermat, small factors, shared primes, Wiener and others) are badkeys'.  Keys that have leaked, or
came from a broken generator (Debian's of 2008 among them), are known by a list that badkeys keeps but does not ship:
its ``blocklist.dat``, fetched by ``badkeys --update-bl``, is used when a setting names it.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from hashlib import sha256
from typing import TYPE_CHECKING

from badkeys import rsakeys  # type: ignore[import-untyped]  # badkeys has no types
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cert_worker.csr import CsrRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cert_worker.csr import DeviceKey

_RECORD = 16
_DIGEST = 15
_SMALLEST_LIST = 1000 * _RECORD
_RSA_CHECKS: dict[str, Callable[[int, int], object]] = {
    "ROCA": rsakeys.roca,
    "Fermat": rsakeys.fermat,
    "smallfactors": rsakeys.smallfactors,
    "sharedprimes": rsakeys.sharedprimes,
    "pattern": rsakeys.pattern,
    "invalid": rsakeys.rsainvalid,
    "polynomial": rsakeys.rsapoly,
    "Wiener": rsakeys.smalld,
    "xz": rsakeys.xzbackdoor,
}


class Blocklist:
    """badkeys' file: sorted records of 15 bytes of a SHA-256 and one that names the source."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self._content = content

    @classmethod
    def open(cls, path: Path) -> Blocklist:
        """Map a file; it is not read until it is asked.

        Raises:
            ValueError: it is not such a list.
        """
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(content) % _RECORD or len(content) < _SMALLEST_LIST:
            raise ValueError(f"{path} is not a blocklist of badkeys")
        return cls(content)

    def __len__(self) -> int:
        return len(self._content) // _RECORD

    def __getitem__(self, place: int) -> bytes:
        return self._content[place * _RECORD : place * _RECORD + _DIGEST]

    def __contains__(self, key: DeviceKey) -> bool:
        wanted = sha256(_number(key)).digest()[:_DIGEST]
        place = bisect_left(range(len(self)), wanted, key=self.__getitem__)
        return place < len(self) and self[place] == wanted


NO_LIST = Blocklist(b"")


def refuse_weak(key: DeviceKey, blocklist: Blocklist) -> None:
    """Refuse a key that others know or can find out; up to 10 ms for RSA.

    Raises:
        CsrRefused: naming the check.
    """
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        for name, check in _RSA_CHECKS.items():
            if check(numbers.n, numbers.e):
                raise CsrRefused(
                    f"the RSA key is weak ({name}); make a new one with another library"
                )
    if key in blocklist:
        raise CsrRefused("the key is publicly known; make a new one")


def _number(key: DeviceKey) -> bytes:
    """Return what badkeys hashes: the modulus, the point's x, or the raw key, without leading zeros."""
    match key:
        case rsa.RSAPublicKey():
            number = key.public_numbers().n
        case ec.EllipticCurvePublicKey():
            number = key.public_numbers().x
        case _:
            number = int.from_bytes(key.public_bytes(Encoding.Raw, PublicFormat.Raw), "big")
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
