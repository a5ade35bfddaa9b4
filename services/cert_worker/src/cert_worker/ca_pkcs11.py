"""Keep an authority's key in a hardware module, by PKCS#11: it is made there, never leaves, and signs there."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

import pkcs11
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11.util.ec import (
    encode_ec_public_key,
    encode_ecdsa_signature,
    encode_named_curve_parameters,
)

from cert_worker import der
from cert_worker.ca import ECDSA_WITH_SHA256, CaRefused

if TYPE_CHECKING:
    from uuid import UUID

_ONCE_ONLY_KEY = ec.generate_private_key(ec.SECP256R1())
"""Signs trial certificates, whose content the module then signs."""


@dataclass(frozen=True, slots=True)
class Token:
    """Where a hardware module is and what opens it."""

    module: str
    label: str
    pin: str = field(repr=False)


class Pkcs11Signer:
    """A P-256 key in a token, found by its label (the issuer's id).  Safe to use from several threads."""

    def __init__(self, session: pkcs11.Session, issuer_id: UUID) -> None:
        # A PKCS#11 session does one thing at a time.
        self._lock = threading.Lock()
        name = str(issuer_id)
        try:
            key = session.get_key(pkcs11.ObjectClass.PRIVATE_KEY, label=name)
            public = session.get_key(pkcs11.ObjectClass.PUBLIC_KEY, label=name)
        except pkcs11.PKCS11Error as error:
            raise CaRefused(f"the PKCS#11 token holds no key for issuer {issuer_id}") from error
        if not isinstance(key, pkcs11.SignMixin) or not isinstance(public, pkcs11.PublicKey):
            raise CaRefused(f"the PKCS#11 token's key for issuer {issuer_id} can't sign")
        self._key = key
        loaded = load_der_public_key(encode_ec_public_key(public))
        if not isinstance(loaded, ec.EllipticCurvePublicKey) or loaded.curve.name != "secp256r1":
            raise CaRefused(f"the PKCS#11 token's key for issuer {issuer_id} is not EC P-256")
        self._public_key = loaded

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public_key

    @property
    def algorithm(self) -> bytes:
        return ECDSA_WITH_SHA256

    def sign(self, to_be_signed: bytes) -> bytes:
        with self._lock:
            raw = self._key.sign(sha256(to_be_signed).digest(), mechanism=pkcs11.Mechanism.ECDSA)
        return encode_ecdsa_signature(raw)

    def sign_certificate(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Sign what cryptography encodes: it wants a key of its own for that, so a trial signature goes first."""
        trial = builder.sign(_ONCE_ONLY_KEY, hashes.SHA256()).tbs_certificate_bytes
        signature = der.bit_string(self.sign(trial))
        return x509.load_der_x509_certificate(der.sequence((trial, ECDSA_WITH_SHA256, signature)))


def open_session(wanted: Token) -> pkcs11.Session:
    """Log in to a token.

    Raises:
        CaRefused: no module, no such token, or a wrong PIN.
    """
    try:
        token = pkcs11.lib(wanted.module).get_token(token_label=wanted.label)
        return token.open(rw=True, user_pin=wanted.pin)
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        kind = type(error).__name__
        raise CaRefused(f"PKCS11_MODULE, PKCS11_TOKEN or PKCS11_PIN is wrong ({kind})") from error


def create_key(session: pkcs11.Session, issuer_id: UUID) -> None:
    """Make a key that the token gives to nobody."""
    curve = session.create_domain_parameters(
        pkcs11.KeyType.EC,
        {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")},
        local=True,
    )
    curve.generate_keypair(
        store=True,
        label=str(issuer_id),
        id=issuer_id.bytes,
        private_template={
            pkcs11.Attribute.SENSITIVE: True,
            pkcs11.Attribute.EXTRACTABLE: False,
        },
    )
