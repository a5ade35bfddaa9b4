"""A certificate is dead when its own authority says so, now, about this one: nothing else is a proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from pulse_admin import ocsp_door, revocation_list_door
from pulse_admin.commands.certificate_dead import asked
from pulse_admin.doors import Suspect
from pulse_admin.failure import AdminError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulse_admin.doors import Finding

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LIST, RESPONDER = "http://pki.example/1.crl", "http://pki.example/ocsp"
HOLD = x509.ReasonFlags.certificate_hold
COMPROMISE = x509.ReasonFlags.key_compromise


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Authority:
    """Signs a leaf, its list and its OCSP answers; what it says may be bent by a test."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    revoked: x509.ReasonFlags | None = COMPROMISE
    list_url: str = LIST
    made_at: datetime = NOW
    may_answer: bool = True
    answers_about: int | None = None
    nonce: bytes | None = None

    def __post_init__(self) -> None:
        self.certificate = self.signed("authority", self.key.public_key())
        self.leaf = self.signed(
            "device",
            ec.generate_private_key(ec.SECP256R1()).public_key(),
            x509.CRLDistributionPoints(
                [x509.DistributionPoint([x509.UniformResourceIdentifier(LIST)], None, None, None)]
            ),
            x509.AuthorityInformationAccess(
                [
                    x509.AccessDescription(
                        AuthorityInformationAccessOID.OCSP,
                        x509.UniformResourceIdentifier(RESPONDER),
                    )
                ]
            ),
        )

    def signed(
        self, name: str, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            issuer_name=named("authority"),
            subject_name=named(name),
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=NOW - DAY,
            not_valid_after=NOW + DAY,
        )
        for one in extensions:
            builder = builder.add_extension(one, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def list(self) -> bytes:
        builder = x509.CertificateRevocationListBuilder(
            issuer_name=named("authority"),
            last_update=self.made_at,
            next_update=self.made_at + timedelta(hours=1),
        ).add_extension(
            x509.IssuingDistributionPoint(
                full_name=[x509.UniformResourceIdentifier(self.list_url)],
                relative_name=None,
                only_contains_user_certs=False,
                only_contains_ca_certs=False,
                only_some_reasons=None,
                indirect_crl=False,
                only_contains_attribute_certs=False,
            ),
            critical=True,
        )
        if self.revoked:
            entry = x509.RevokedCertificateBuilder(self.leaf.serial_number, NOW)
            reason = x509.CRLReason(self.revoked)
            builder = builder.add_revoked_certificate(
                entry.add_extension(reason, critical=False).build()
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def answer(self, question: bytes) -> bytes:
        asked_for = ocsp.load_der_ocsp_request(question)
        nonce = asked_for.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        responder = ec.generate_private_key(ec.SECP256R1())
        usage = (
            ExtendedKeyUsageOID.OCSP_SIGNING if self.may_answer else ExtendedKeyUsageOID.CLIENT_AUTH
        )
        delegate = self.signed("responder", responder.public_key(), x509.ExtendedKeyUsage([usage]))
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            b"n" * 32,
            b"k" * 32,
            self.answers_about or asked_for.serial_number,
            hashes.SHA256(),
            ocsp.OCSPCertStatus.REVOKED if self.revoked else ocsp.OCSPCertStatus.GOOD,
            self.made_at,
            self.made_at + timedelta(hours=1),
            NOW if self.revoked else None,
            self.revoked,
        )
        return (
            builder.responder_id(ocsp.OCSPResponderEncoding.HASH, delegate)
            .certificates([delegate])
            .add_extension(x509.OCSPNonce(self.nonce or nonce), critical=False)
            .sign(responder, hashes.SHA256())
            .public_bytes(Encoding.DER)
        )

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        content = self.list() if str(request.url) == LIST else self.answer(request.content)
        return httpx2.Response(200, content=content)


def ask(authority: Authority) -> dict[str, bool]:
    suspect = Suspect(authority.leaf, authority.certificate, NOW)
    with httpx2.Client(transport=httpx2.MockTransport(authority)) as http:
        return {one.door.partition(" ")[0]: one.dead for one in asked(suspect, http)}


def test_revoked_certificate_is_dead_at_both_doors() -> None:
    assert ask(Authority()) == {"list": True, "OCSP": True}


@pytest.mark.parametrize("revoked", [None, HOLD])
def test_good_certificate_and_one_on_hold_live(revoked: x509.ReasonFlags | None) -> None:
    assert ask(Authority(revoked=revoked)) == {"list": False, "OCSP": False}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Authority(list_url="http://pki.example/2.crl"), "other certificates"),
        (Authority(made_at=NOW - DAY), "not of now"),
        (Authority(made_at=NOW + timedelta(minutes=5)), "not of now"),
        (Authority(may_answer=False), "may not"),
        (Authority(answers_about=5), "another question"),
        (Authority(nonce=b"of yesterday's answer"), "another question"),
    ],
    ids=["another list", "stale", "of tomorrow", "no responder", "other serial", "replayed"],
)
def test_answer_that_proves_nothing_is_an_error(said: Authority, why: str) -> None:
    with pytest.raises(AdminError, match=why):
        ask(said)


@pytest.mark.parametrize("door", [revocation_list_door.look, ocsp_door.ask])
def test_strangers_signatures_prove_nothing(
    door: Callable[[Suspect, httpx2.Client], list[Finding]],
) -> None:
    authority, stranger = Authority(), Authority()
    suspect = Suspect(authority.leaf, stranger.certificate, NOW)

    with (
        httpx2.Client(transport=httpx2.MockTransport(authority)) as http,
        pytest.raises(AdminError, match="not signed by the certificate's authority"),
    ):
        door(suspect, http)


def test_door_that_is_away_is_an_error() -> None:
    authority = Authority()
    suspect = Suspect(authority.leaf, authority.certificate, NOW)

    def away(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError(str(request.url))

    for answers in (away, lambda _: httpx2.Response(404)):
        with (
            httpx2.Client(transport=httpx2.MockTransport(answers)) as http,
            pytest.raises(AdminError, match=r"cannot be reached|404"),
        ):
            asked(suspect, http)
