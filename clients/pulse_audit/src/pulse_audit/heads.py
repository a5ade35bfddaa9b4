"""Signed heads: a C2SP checkpoint (origin, size, root, our three lines) in a signed note with an Ed25519 signature."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pulse_audit.errors import Tampered, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KEY_NAME = "pulse.audit"
ORIGIN = "pulse.audit/"
NO_PREVIOUS = "0" * 64
_ED25519 = b"\x01"
_BODY = re.compile(
    r"pulse\.audit/(?P<tenant>[0-9a-f-]{36})\n(?P<size>0|[1-9][0-9]{0,17})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"batch (?P<batch>0|[1-9][0-9]{0,17})\nprevious (?P<previous>[0-9a-f]{64})\ntime (?P<time>[0-9TZ:.-]{20,32})\n"
)
_SIGNATURE = re.compile(rf"\u2014 {re.escape(KEY_NAME)} (?P<signature>[A-Za-z0-9+/]+={{0,2}})\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    tenant_id: str
    tree_size: int
    root: bytes
    batch: int
    previous: str
    sealed_at: datetime
    body: str

    def fingerprint(self) -> str:
        """What the next head's ``previous`` is."""
        return sha256(self.body.encode()).hexdigest()


def read_key(path: Path) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path} is not a public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise Unreadable(f"{path} is not an Ed25519 key")
    return key


def key_id(key: Ed25519PublicKey) -> bytes:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return sha256(KEY_NAME.encode() + b"\n" + _ED25519 + raw).digest()[:4]


def open_head(note: str, key: Ed25519PublicKey) -> Head:
    """Check the signature and read what was signed.

    Raises:
        Tampered: no signature of this key is on it.
        Unreadable: signed, but not a head of an audit log.
    """
    body, gap, signatures = note.rpartition("\n\n")
    if not gap:
        raise Unreadable("a head is not a signed note")
    body += "\n"
    if not any(_signed(body, match["signature"], key) for match in _SIGNATURE.finditer(signatures)):
        raise Tampered("a head is not signed by this key")
    found = _BODY.fullmatch(body)
    if found is None:
        raise Unreadable("a signed note is not the head of an audit log")
    try:
        sealed_at = datetime.fromisoformat(found["time"])
    except ValueError as error:
        raise Unreadable("a head's time cannot be read") from error
    return Head(
        tenant_id=found["tenant"],
        tree_size=int(found["size"]),
        root=base64.b64decode(found["root"]),
        batch=int(found["batch"]),
        previous=found["previous"],
        sealed_at=sealed_at,
        body=body,
    )


def newest_head(lines: Iterable[str], tenant: str | None, key: Ed25519PublicKey) -> Head:
    """Return the tenant's last head of a file of heads (JSON lines); without ``tenant`` the file must be of one.

    Raises:
        Tampered: a head of the tenant's is not signed by the key.
        Unreadable: a line is no head, or it is not clear whose head is meant.
    """
    try:
        told = [json.loads(line) for line in lines if line.strip()]
        notes = [(str(one["tenant_id"]), str(one["note"])) for one in told]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Unreadable("the file of heads is not whole: copy it again") from error
    wanted = [note for whose, note in notes if tenant in {None, whose}]
    if not wanted or (tenant is None and len({whose for whose, _ in notes}) > 1):
        raise Unreadable("the file holds no head, or several tenants': name one by --tenant")
    return max((open_head(note, key) for note in wanted), key=lambda head: head.tree_size)


def _signed(body: str, signature: str, key: Ed25519PublicKey) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
    except binascii.Error:
        return False
    if raw[:4] != key_id(key):
        return False
    try:
        key.verify(raw[4:], body.encode())
    except InvalidSignature:
        return False
    return True
