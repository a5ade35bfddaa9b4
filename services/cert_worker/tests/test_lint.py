"""A linter that nobody here wrote has nothing to say about what we sign, and is heard when it has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cert_worker import crl, lint, profile
from cert_worker.ca import FileSigner
from cert_worker.domain import Issuer, Revocation
from cert_worker.profile import DeviceName, DeviceProfile

if TYPE_CHECKING:
    from cert_worker.csr import DeviceKey

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BASE_URL = "http://pki.test/pki"
SIGNER = FileSigner(ec.generate_private_key(ec.SECP256R1()))
ROOT_ID, ISSUING_ID = uuid4(), uuid4()
ROOT = SIGNER.sign_certificate(profile.root_certificate(ROOT_ID, SIGNER.public_key, now=NOW))
ISSUING = SIGNER.sign_certificate(
    profile.issuing_certificate(
        ISSUING_ID, SIGNER.public_key, root_id=ROOT_ID, root=ROOT, base_url=BASE_URL, now=NOW
    )
)


def leaf(key: DeviceKey, base_url: str = BASE_URL) -> x509.CertificateBuilder:
    return profile.device_certificate(
        DeviceName(uuid4(), uuid4()),
        key,
        issuer=Issuer(issuer_id=ISSUING_ID, kind="issuing", certificate=ISSUING),
        profile=DeviceProfile(base_url=base_url, lifetime=timedelta(days=90)),
        now=NOW,
    )


@pytest.mark.parametrize("base_url", ["http://localhost:8480/pki", "http://cert-worker/pki"])
def test_host_without_a_dot_is_no_finding(base_url: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()

    assert lint.findings_before_signing(leaf(key, base_url)) == []


@pytest.mark.parametrize("certificate", [ROOT, ISSUING], ids=["root", "issuing"])
def test_authorities_certificates_are_proper(certificate: x509.Certificate) -> None:
    assert lint.certificate_findings(certificate.public_bytes(Encoding.DER)) == []


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        ed25519.Ed25519PrivateKey.generate().public_key(),
        rsa.generate_private_key(65537, 2048).public_key(),
    ],
    ids=["p256", "p384", "ed25519", "rsa"],
)
def test_device_certificate_is_proper_before_it_is_signed(key: DeviceKey) -> None:
    assert lint.findings_before_signing(leaf(key)) == []


@pytest.mark.parametrize("reasons", [(), (*crl.REASON_CODES, crl.UNSPECIFIED)])
def test_list_is_proper(reasons: tuple[str, ...]) -> None:
    entries = [Revocation(profile.random_serial_number(), NOW, reason) for reason in reasons]

    made = crl.build(SIGNER, ISSUING, entries, number=9, url=f"{BASE_URL}/x/0.crl", now=NOW)

    assert lint.crl_findings(made.der) == []


def test_improper_certificate_is_found() -> None:
    wrong = leaf(SIGNER.public_key).add_extension(
        x509.IssuerAlternativeName([x509.DNSName("not a name")]), critical=True
    )

    assert lint.findings_before_signing(wrong)


def test_only_our_own_names_pass_as_uris() -> None:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")]))
        .issuer_name(ISSUING.subject)
        .public_key(SIGNER.public_key)
        .serial_number(profile.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("http://[")]),
            critical=False,
        )
    )

    assert "pkix.invalid_uri_syntax" in lint.findings_before_signing(builder)
