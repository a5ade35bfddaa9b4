"""Make authorities: a root where no server is, an issuing key where the server is, and files that go between the two.

``{issuer_id}.csr`` goes from the server to the root, ``{issuer_id}.{profile}.pem`` (issuing certificate, then root)
comes back.  The root's key never comes near the server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cert_worker import profile, root_list
from cert_worker.ca import (
    PUBLIC_FILE,
    CaRefused,
    FileSigner,
    make_directory,
    write_file,
)
from cert_worker.domain import Issuer
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cert_worker.ca import Signer

CHAIN_FILE = re.compile(r"(?P<id>[0-9a-f-]{36})\.(?P<profile>[a-z][a-z0-9-]{0,31})\.pem")
_ID_IN_NAME = re.compile(r"Pulse (?P<kind>root|issuing) CA (?P<id>[0-9a-f-]{36})")


@dataclass(frozen=True, slots=True)
class Installed:
    """A chain that lies in CA_DIRECTORY."""

    issuing: Issuer
    root: Issuer


def create_root(directory: Path, passphrase: bytes, now: datetime) -> Path:
    """Make ``root.key``, ``root.pem`` and the root's first list, ``root.crl``.

    Raises:
        CaRefused: there is a root already, or the folder can't be written.
    """
    make_directory(directory)
    signer = FileSigner.create(directory / "root.key", passphrase)
    root = signer.sign_certificate(profile.root_certificate(new_id(), signer.public_key, now=now))
    write_file(directory / "root.pem", root.public_bytes(Encoding.PEM), PUBLIC_FILE)
    # Issuing certificates name it from the first one on: an empty list is better than none.
    root_list.make(directory, passphrase, now=now, signer=signer)
    return directory / "root.pem"


def write_request(directory: Path, issuer_id: UUID, signer: Signer, now: datetime) -> Path:
    """Write what the root is to sign: the issuing key, by name.

    It is a certificate that the key signed for itself: it proves possession by any signer, in a file or in hardware.
    """
    request = directory / f"{issuer_id}.csr"
    proof = signer.sign_certificate(profile.issuing_request(issuer_id, signer.public_key, now=now))
    write_file(request, proof.public_bytes(Encoding.PEM), PUBLIC_FILE)
    return request


def sign_request(
    directory: Path, passphrase: bytes, request: bytes, *, base_url: str, now: datetime
) -> bytes:
    """Sign an issuing certificate with the root and return it with the root's.

    Raises:
        CaRefused: the request is none of ours or does not hold its key, or the root can't be used.
    """
    signer = FileSigner.open(directory / "root.key", passphrase)
    root = _read((directory / "root.pem").read_bytes())[0]
    proof = _read(request)[0]
    key = proof.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CaRefused("the request does not hold an EC key")
    _require_issued(proof, proof)
    builder = profile.issuing_certificate(
        id_in(proof, "issuing"),
        key,
        root_id=id_in(root, "root"),
        root=root,
        base_url=base_url,
        now=now,
    )
    issuing = signer.sign_certificate(builder)
    return issuing.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)


def write_chain(
    directory: Path,
    passphrase: bytes,
    request: Path,
    *,
    profile_name: str,
    base_url: str,
    now: datetime,
) -> Path:
    """Sign a request and write the chain beside the root, under the name that ``read_chain`` wants."""
    chain = sign_request(directory, passphrase, request.read_bytes(), base_url=base_url, now=now)
    target = directory / f"{request.stem}.{profile_name}.pem"
    write_file(target, chain, PUBLIC_FILE)
    return target


def read_chain(name: str, content: bytes, *, crl_shards: int) -> Installed:
    """Read a chain file.

    Raises:
        CaRefused: the file's name, the certificates' names and their signatures don't belong together.
    """
    matched = CHAIN_FILE.fullmatch(name)
    certificates = _read(content)
    if matched is None or len(certificates) != len(("issuing", "root")):
        raise CaRefused(f"{name} is not ID.PROFILE.pem with an issuing certificate and its root")
    issuing, root = certificates
    _require_issued(issuing, root)
    _require_issued(root, root)
    issuer_id = id_in(issuing, "issuing")
    if str(issuer_id) != matched["id"]:
        raise CaRefused(f"{name} holds the certificate of {issuer_id}")
    return Installed(
        issuing=Issuer(
            issuer_id=issuer_id,
            kind="issuing",
            certificate=issuing,
            profile=matched["profile"],
            crl_shards=crl_shards,
        ),
        root=Issuer(issuer_id=id_in(root, "root"), kind="root", certificate=root),
    )


def id_in(certificate: x509.Certificate, kind: str) -> UUID:
    (name,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    matched = _ID_IN_NAME.fullmatch(str(name.value))
    if matched is None or matched["kind"] != kind:
        raise CaRefused(f"the certificate is not of a {kind} authority of Pulse")
    return UUID(matched["id"])


def _read(content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise CaRefused("the file does not hold certificates in PEM") from error


def _require_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise CaRefused("a certificate is not signed by the one above it") from error
