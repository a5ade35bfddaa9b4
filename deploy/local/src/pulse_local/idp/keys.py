"""The realm's signing key: made on the first run, then kept where only its owner can read it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import RSAKey

if TYPE_CHECKING:
    from pathlib import Path

KEY_FILE = "signing-key.pem"
_BITS = 2048


def load_or_create_key(data_dir: Path) -> RSAKey:
    """Return the signing key, its id being its RFC 7638 thumbprint."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / KEY_FILE
    if not path.exists():
        _write_private(path, _generate())
    path.chmod(0o600)
    key = RSAKey.import_key(path.read_bytes())
    return RSAKey.import_key(path.read_bytes(), {"kid": key.thumbprint(), "use": "sig"})


def published(key: RSAKey) -> dict[str, object]:
    """Return the public half as the realm publishes it."""
    return {**key.as_dict(private=False), "alg": "RS256", "use": "sig"}


def _generate() -> bytes:
    key = rsa.generate_private_key(65537, _BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_private(path: Path, content: bytes) -> None:
    """Write beside and rename: no half file after a crash, never a wider mode."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    beside.replace(path)
