"""Find the key of an issuing authority, in its file or in the PKCS#11 token."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from cert_worker.ca import CaRefused, FileSigner, key_file, make_directory
from cert_worker.ca_pkcs11 import Pkcs11Signer, Token, create_key, open_session
from cert_worker.domain import DEFAULT_SHARDS
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from cert_worker.ca import Signer
    from cert_worker.domain import Issuer
    from cert_worker.settings import CaSettings

BUNDLE = "bundle.pem"
# One log-in to a token for the whole process.
_session = cache(open_session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the keys are, what opens them, and where the world finds what they signed."""

    directory: Path
    passphrase: bytes
    base_url: str
    crl_shards: int = DEFAULT_SHARDS
    token: Token | None = None

    @property
    def bundle(self) -> Path:
        return self.directory / BUNDLE

    @classmethod
    def of(cls, settings: CaSettings) -> Place:
        token = None
        if settings.pkcs11_module is not None:
            pin = settings.pkcs11_pin.get_secret_value() if settings.pkcs11_pin else ""
            token = Token(str(settings.pkcs11_module), settings.pkcs11_token, pin)
        return cls(
            directory=settings.ca_directory,
            passphrase=settings.ca_key_passphrase.get_secret_value().encode(),
            base_url=settings.crl_base_url,
            crl_shards=settings.crl_shards,
            token=token,
        )


def create_signer(place: Place) -> tuple[UUID, Signer]:
    """Make a key for a new issuing authority: in the token when there is one."""
    issuer_id = new_id()
    make_directory(place.directory)
    if place.token is None:
        path = key_file(place.directory, issuer_id)
        return issuer_id, FileSigner.create(path, place.passphrase)
    session = _session(place.token)
    create_key(session, issuer_id)
    return issuer_id, Pkcs11Signer(session, issuer_id)


def open_signer(place: Place, issuing: Issuer) -> Signer:
    """Open the key of an issuing authority.

    Raises:
        CaRefused: it is nowhere, does not open, or is another's.
    """
    path = key_file(place.directory, issuing.issuer_id)
    signer: Signer
    if path.exists():
        signer = FileSigner.open(path, place.passphrase)
    elif place.token is not None:
        signer = Pkcs11Signer(_session(place.token), issuing.issuer_id)
    else:
        raise CaRefused(
            f"{path} is missing, and the database says that devices trust issuer {issuing.issuer_id}: restore the "
            "directory from its backup, or mount the one that the other replicas use"
        )
    if signer.public_key != issuing.certificate.public_key():
        raise CaRefused(f"{path} is not the key of issuer {issuing.issuer_id} in the database")
    return signer
