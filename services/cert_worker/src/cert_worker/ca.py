"""The only code that touches a certificate authority's private key.

A ``Signer`` signs what the profiles built and never gives the key away.  ``FileSigner`` keeps it in a file: PKCS#8,
encrypted with the passphrase, readable by its owner alone.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cert_worker import der

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from cryptography import x509

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
PUBLIC_FILE = 0o644
# RFC 5758 section 3.2: without parameters.
ECDSA_WITH_SHA256 = der.sequence((der.object_identifier("1.2.840.10045.4.3.2"),))


class CaRefused(Exception):  # noqa: N818 -- reads as an outcome
    """The authority can't be used as it is; the message says what to do about it."""


class Signer(Protocol):
    """One authority's key, wherever it lives."""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey: ...

    @property
    def algorithm(self) -> bytes:
        """The AlgorithmIdentifier of its signatures, in DER."""

    def sign(self, to_be_signed: bytes) -> bytes:
        """Sign the DER of what is to be signed; may wait for hardware."""

    def sign_certificate(self, builder: x509.CertificateBuilder) -> x509.Certificate: ...


class FileSigner:
    """A P-256 key in memory, from an encrypted file.  Make one with ``create`` or ``open``."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self.__key = key

    def __reduce__(self) -> str:
        raise TypeError("a signer is never copied out of its process")

    @classmethod
    def create(cls, path: Path, passphrase: bytes) -> FileSigner:
        """Make a new key and store it; an existing file is never overwritten.

        Raises:
            CaRefused: the file is there already, or can't be written.
        """
        if path.exists():
            raise CaRefused(f"{path} exists already and is not overwritten")
        key = ec.generate_private_key(ec.SECP256R1())
        encrypted = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase),
        )
        write_file(path, encrypted, PRIVATE_FILE)
        return cls(key)

    @classmethod
    def open(cls, path: Path, passphrase: bytes) -> FileSigner:
        """Read a key that ``create`` wrote.

        Raises:
            CaRefused: missing, readable by others, not an encrypted P-256 key, or another passphrase.
        """
        with _explaining(path):
            mode = path.stat().st_mode & 0o777
            content = path.read_bytes()
        if mode & 0o077:
            raise CaRefused(
                f"{path} has mode {mode:04o}: others could read the CA's key; chmod 600"
            )
        try:
            key = serialization.load_pem_private_key(content, passphrase)
        except TypeError:
            raise CaRefused(f"{path} is not encrypted") from None
        except ValueError:
            # From None: OpenSSL's error text may hold pieces of the file.
            raise CaRefused(
                f"{path} does not open: CA_KEY_PASSPHRASE is wrong, or the file is damaged"
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise CaRefused(f"{path} does not hold an EC P-256 key")
        return cls(key)

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self.__key.public_key()

    @property
    def algorithm(self) -> bytes:
        return ECDSA_WITH_SHA256

    def sign(self, to_be_signed: bytes) -> bytes:
        return self.__key.sign(to_be_signed, ec.ECDSA(hashes.SHA256()))

    def sign_certificate(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self.__key, hashes.SHA256())

    def sign_list(
        self, builder: x509.CertificateRevocationListBuilder
    ) -> x509.CertificateRevocationList:
        """For the root's own, of a few CAs; the issuing CAs' are encoded by ``crl.py``."""
        return builder.sign(self.__key, hashes.SHA256())


def key_file(directory: Path, issuer_id: UUID) -> Path:
    """Say where an issuer's key is.  A key without an issuer in the database never signed anything that counts."""
    return directory / f"{issuer_id}.key"


def make_directory(directory: Path) -> None:
    with _explaining(directory):
        directory.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        directory.chmod(PRIVATE_FOLDER)


def write_if_changed(path: Path, content: bytes, mode: int) -> None:
    """As ``write_file``, and leave the file alone when it holds this content already."""
    with _explaining(path):
        same = path.exists() and path.read_bytes() == content
    if not same:
        write_file(path, content, mode)


def write_file(path: Path, content: bytes, mode: int) -> None:
    """Write a file so that a reader, or a crash, meets the old content or the new one and nothing between.

    Raises:
        CaRefused: the folder can't be written.
    """
    with _explaining(path):
        # mkstemp makes it 0600: the content is never readable by others, not even for a moment.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(mode)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CaRefused(f"{path}: {error.strerror}") from error
