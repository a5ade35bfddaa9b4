"""Say by OCSP (RFC 6960) whether one certificate counts.

The authority's key does not answer strangers: each process makes a key of its own, in memory alone, and the authority
certifies it for two days for nothing but this.  Answers are kept for a minute, so a popular certificate costs one
signature a minute; an answer with the asker's nonce (RFC 8954) is signed for that asker.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from cert_worker import profile, store_crl

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from cert_worker.authority import Authorities, Authority
    from cert_worker.store_crl import State
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

LARGEST_REQUEST = 2048
LONGEST_NONCE = 32
GOOD_FOR = timedelta(hours=1)
KEPT_FOR = timedelta(seconds=60)
MOST_KEPT = 20_000
_HASHES = {"sha1": hashes.SHA1, "sha256": hashes.SHA256}


@dataclass(frozen=True, slots=True)
class Responder:
    """A key that only answers, and the authority's word for it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Asked:
    """What answers are kept by."""

    issuer_id: UUID
    serial_number: int
    algorithm: str


@dataclass(frozen=True, slots=True)
class Kept:
    answer: bytes
    until: datetime


class Ocsp:
    def __init__(self, *, database: Database, authorities: Authorities, clock: Clock) -> None:
        self._database = database
        self._authorities = authorities
        self._clock = clock
        self._responders: dict[UUID, Responder] = {}
        self._kept: dict[Asked, Kept] = {}

    async def answer(self, request_der: bytes) -> bytes:
        """Answer a request in DER with a response in DER; never raises for what a stranger sends.

        Raises:
            Unavailable: the database is away.
        """
        now = self._clock()
        asked = _read(request_der)
        if asked is None:
            return _error(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        request, nonce = asked
        authority = self._issuer_of(request)
        if authority is None:
            return _error(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        # By what is asked and not by the request's bytes, of which a stranger can make as many as it likes.
        name = Asked(
            authority.issuing.issuer_id, request.serial_number, request.hash_algorithm.name
        )
        kept = self._kept.get(name)
        if nonce is None and kept is not None and now < kept.until:
            return kept.answer
        async with self._database.service_connection("pulse_ca") as tx:
            state = await store_crl.find_state(
                tx, authority.issuing.issuer_id, request.serial_number
            )
        answer = self._sign(authority, request, state, nonce, now)
        if nonce is None:
            self._keep(name, Kept(answer, now + KEPT_FOR))
        return answer

    def _issuer_of(self, request: ocsp.OCSPRequest) -> Authority | None:
        for authority in self._authorities.signing_lists:
            certificate = authority.issuing.certificate
            if (request.issuer_name_hash, request.issuer_key_hash) == _names(
                certificate, request.hash_algorithm
            ):
                return authority
        return None

    def _sign(
        self,
        authority: Authority,
        request: ocsp.OCSPRequest,
        state: State | None,
        nonce: bytes | None,
        now: datetime,
    ) -> bytes:
        responder = self._responder(authority, now)
        second = now.replace(microsecond=0)
        name_hash, key_hash = _names(authority.issuing.certificate, request.hash_algorithm)
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=name_hash,
            issuer_key_hash=key_hash,
            serial_number=request.serial_number,
            algorithm=request.hash_algorithm,
            cert_status=_status(state),
            this_update=second,
            next_update=second + GOOD_FOR,
            revocation_time=state.revoked_at.replace(microsecond=0)
            if state and state.revoked_at
            else None,
            revocation_reason=_reason(state),
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, responder.certificate)
        builder = builder.certificates([responder.certificate])
        if nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        return builder.sign(responder.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def _responder(self, authority: Authority, now: datetime) -> Responder:
        issuer_id = authority.issuing.issuer_id
        found = self._responders.get(issuer_id)
        if found is None or found.certificate.not_valid_after_utc - now < profile.RESPONDER_RENEWED:
            key = ec.generate_private_key(ec.SECP256R1())
            builder = profile.responder_certificate(key.public_key(), authority.issuing, now=now)
            found = Responder(key, authority.signer.sign_certificate(builder))
            self._responders[issuer_id] = found
        return found

    def _keep(self, name: Asked, kept: Kept) -> None:
        # A stranger may ask for as many serial numbers as there are: the oldest answers make room.
        while len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[name] = kept


def _read(request_der: bytes) -> tuple[ocsp.OCSPRequest, bytes | None] | None:
    if len(request_der) > LARGEST_REQUEST:
        return None
    try:
        request = ocsp.load_der_ocsp_request(request_der)
        known = request.hash_algorithm.name in _HASHES
        nonce = next(
            (
                one.value.nonce
                for one in request.extensions
                if isinstance(one.value, x509.OCSPNonce)
            ),
            None,
        )
    except Exception:  # noqa: BLE001 -- cryptography raises many kinds, and strangers write requests
        return None
    # RFC 8954 section 2.1: 1 to 32 octets, or the request is malformed.
    if not known or (nonce is not None and not 1 <= len(nonce) <= LONGEST_NONCE):
        return None
    return request, nonce


def _names(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    """Name an issuer as a request does: by hashes of its name and of its key's bits."""
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    from_name = hashes.Hash(algorithm)
    from_name.update(certificate.subject.public_bytes())
    bits = x509.SubjectKeyIdentifier.from_public_key(key)
    if algorithm.name == "sha1":  # the key identifier is that very hash
        return from_name.finalize(), bits.digest
    from_key = hashes.Hash(algorithm)
    from_key.update(key.public_bytes(Encoding.X962, profile.UNCOMPRESSED_POINT))
    return from_name.finalize(), from_key.finalize()


def _status(state: State | None) -> ocsp.OCSPCertStatus:
    if state is None:
        return ocsp.OCSPCertStatus.UNKNOWN
    return ocsp.OCSPCertStatus.REVOKED if state.revoked_at else ocsp.OCSPCertStatus.GOOD


def _reason(state: State | None) -> x509.ReasonFlags | None:
    if state is None or state.reason is None or state.reason == "unspecified":
        return None
    return x509.ReasonFlags(state.reason)


def _error(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
