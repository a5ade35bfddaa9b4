"""The only code that touches the sealer's key: Ed25519, of its own, in an encrypted file beside the CA's keys.

It is not the CA's key: whoever may issue certificates may not rewrite the record of it, and the other way round.
"""

from __future__ import annotations

import base64
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

if TYPE_CHECKING:
    from pathlib import Path

KEY_NAME = "pulse.audit"
_ED25519 = b"\x01"  # the signature type of C2SP's signed notes
_OTHERS = 0o077


class SealKeyRefused(Exception):  # noqa: N818 -- reads as an outcome
    """The key can't be used as it is; the message says why."""


class HeadSigner(Protocol):
    """Signs heads, wherever its key lives."""

    @property
    def public_pem(self) -> bytes: ...

    def sign(self, text: str) -> str:
        """Return ``text`` as a signed note."""
        ...


class FileHeadSigner:
    """A key in memory, from an encrypted file.  Make one with ``open``."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self.__key = key
        public = key.public_key()
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self._key_id = sha256(KEY_NAME.encode() + b"\n" + _ED25519 + raw).digest()[:4]
        self._public_pem = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def __reduce__(self) -> str:
        raise TypeError("a signer is never copied out of its process")

    @classmethod
    def open(cls, path: Path, passphrase: bytes) -> FileHeadSigner:
        """Read the key; make it when there is none.

        Raises:
            SealKeyRefused: readable by others, another passphrase, or another kind of key.
            OSError: the folder cannot be written.
        """
        if not path.exists():
            _create(path, passphrase)
        if path.stat().st_mode & _OTHERS:
            raise SealKeyRefused(f"{path} can be read by others; chmod 600")
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), passphrase)
        except TypeError:
            raise SealKeyRefused(f"{path} is not encrypted") from None
        except ValueError:
            # From None: OpenSSL's error text may hold pieces of the file.
            raise SealKeyRefused(f"{path} does not open: another passphrase, or damaged") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise SealKeyRefused(f"{path} does not hold an Ed25519 key")
        return cls(key)

    @property
    def public_pem(self) -> bytes:
        return self._public_pem

    def sign(self, text: str) -> str:
        signature = base64.b64encode(self._key_id + self.__key.sign(text.encode())).decode()
        return f"{text}\n\u2014 {KEY_NAME} {signature}\n"


def _create(path: Path, passphrase: bytes) -> None:
    """Write a new key whole or not at all; of two replicas that start at once, the first one's counts."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    encrypted = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, encrypted)
        os.fsync(file)
        path.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        os.close(file)
        temporary.unlink()
