"""Say by OCSP (RFC 6960) whether one certificate counts.

The authority's key does not answer strangers: each process makes a key of its own, in memory alone, and the authority
certifies it for two days for nothing but this.  Answers are kept for a minute, and those that were asked for lately are
signed ahead of the next asker, so that they go on for their hour while the database is away; an answer with the asker's
nonce (RFC 8954) is signed for that asker.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from cert_worker import profile, store_crl
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from cert_worker.authority import Authorities, Authority
    from cert_worker.store_crl import State
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

LARGEST_REQUEST = 2048
LONGEST_NONCE = 32
GOOD_FOR = timedelta(hours=1)
KEPT_FOR = timedelta(seconds=60)
MOST_KEPT = 20_000
AHEAD_EVERY_SECONDS = 30.0
LATELY = timedelta(minutes=10)
MOST_AHEAD = 2000
"""A fifth of a second of signing, twice a minute."""
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {"sha1": hashes.SHA1, "sha256": hashes.SHA256}


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
    """``until`` it is given without a look at the database; it is good for ``GOOD_FOR`` from ``signed_at``."""

    answer: bytes
    signed_at: datetime
    asked_at: datetime

    @property
    def until(self) -> datetime:
        return self.signed_at + KEPT_FOR


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
            self._kept[name] = replace(kept, asked_at=now)
            return kept.answer
        try:
            async with self._database.service_connection("pulse_ca") as tx:
                states = await store_crl.find_states(tx, [(name.issuer_id, name.serial_number)])
        except Unavailable:
            if nonce is None and kept is not None and now < kept.signed_at + GOOD_FOR:
                return kept.answer
            raise
        state = states.get((name.issuer_id, name.serial_number))
        answer = self._sign(authority, name, state, nonce, now)
        if nonce is None:
            self._keep(name, Kept(answer, now, now))
        return answer

    async def run(self) -> None:
        """Sign ahead for ever; trouble of the database is waited out."""
        while True:
            await asyncio.sleep(AHEAD_EVERY_SECONDS)
            try:
                await self.sign_ahead()
            except Unavailable as error:
                log.warning("ocsp_not_signed_ahead", reason=error.message)

    async def sign_ahead(self) -> int:
        """Sign anew what was asked for lately, by what the database says now; return how many answers.

        Raises:
            Unavailable: the database is away; what is kept stays good for its hour.
        """
        now = self._clock()
        lately = [
            (name, kept) for name, kept in self._kept.items() if now - kept.asked_at <= LATELY
        ]
        wanted = dict(lately[-MOST_AHEAD:])
        async with self._database.service_connection("pulse_ca") as tx:
            states = await store_crl.find_states(
                tx, [(name.issuer_id, name.serial_number) for name in wanted]
            )
        for name, before in wanted.items():
            authority = self._authorities.signing(name.issuer_id)
            kept = self._kept.get(name)
            # Whoever asked meanwhile has newer news than we.
            if authority is None or kept is None or kept.signed_at > before.signed_at:
                continue
            state = states.get((name.issuer_id, name.serial_number))
            answer = self._sign(authority, name, state, None, now)
            self._kept[name] = replace(kept, answer=answer, signed_at=now)
            await asyncio.sleep(0)  # whoever asks meanwhile comes first
        return len(wanted)

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
        name: Asked,
        state: State | None,
        nonce: bytes | None,
        now: datetime,
    ) -> bytes:
        responder = self._responder(authority, now)
        second = now.replace(microsecond=0)
        algorithm = _HASHES[name.algorithm]()
        name_hash, key_hash = _names(authority.issuing.certificate, algorithm)
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=name_hash,
            issuer_key_hash=key_hash,
            serial_number=name.serial_number,
            algorithm=algorithm,
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
