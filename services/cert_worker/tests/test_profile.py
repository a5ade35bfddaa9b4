"""What an issued certificate says, read back from its bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from cert_worker import profile
from cert_worker.ca import FileSigner
from cert_worker.domain import Issuer, shard_of
from cert_worker.profile import DeviceName, DeviceProfile
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from cert_worker.csr import DeviceKey

NOW = datetime(2026, 3, 1, 12, 0, 0, 987_654, UTC)
SECOND = NOW.replace(microsecond=0)
BASE_URL = "http://pki.test/pki"
TENANT = UUID("11111111-1111-4111-8111-111111111111")
DEVICE = UUID("0190a1b2-0000-7000-8000-00000000abcd")
ROOT_ID, ISSUING_ID = uuid4(), uuid4()
ROOT_SIGNER = FileSigner(ec.generate_private_key(ec.SECP256R1()))
SIGNER = FileSigner(ec.generate_private_key(ec.SECP256R1()))
ROOT = ROOT_SIGNER.sign_certificate(
    profile.root_certificate(ROOT_ID, ROOT_SIGNER.public_key, now=NOW)
)
ISSUING = ROOT_SIGNER.sign_certificate(
    profile.issuing_certificate(
        ISSUING_ID, SIGNER.public_key, root_id=ROOT_ID, root=ROOT, base_url=BASE_URL, now=NOW
    )
)
ISSUER = Issuer(issuer_id=ISSUING_ID, kind="issuing", certificate=ISSUING)
P256 = ec.generate_private_key(ec.SECP256R1()).public_key()
P384 = ec.generate_private_key(ec.SECP384R1()).public_key()
RSA = rsa.generate_private_key(65537, 2048).public_key()
ED25519 = ed25519.Ed25519PrivateKey.generate().public_key()


def issue(
    key: DeviceKey = P256, *, now: datetime = NOW, lifetime: timedelta = timedelta(days=90)
) -> x509.Certificate:
    builder = profile.device_certificate(
        DeviceName(TENANT, DEVICE),
        key,
        issuer=ISSUER,
        profile=DeviceProfile(base_url=BASE_URL, lifetime=lifetime),
        now=now,
    )
    signed = SIGNER.sign_certificate(builder)
    return x509.load_der_x509_certificate(signed.public_bytes(Encoding.DER))


CERTIFICATE = issue()


def test_subject_is_exactly_tenant_and_device() -> None:
    assert [(name.oid, name.value) for name in CERTIFICATE.subject] == [
        (NameOID.ORGANIZATION_NAME, str(TENANT)),
        (NameOID.COMMON_NAME, str(DEVICE)),
    ]


def test_extensions_are_exactly_these() -> None:
    found = {(type(item.value), item.critical) for item in CERTIFICATE.extensions}

    assert found == {
        (x509.BasicConstraints, True),
        (x509.KeyUsage, True),
        (x509.ExtendedKeyUsage, False),
        (x509.SubjectAlternativeName, False),
        (x509.SubjectKeyIdentifier, False),
        (x509.AuthorityKeyIdentifier, False),
        (x509.CRLDistributionPoints, False),
        (x509.AuthorityInformationAccess, False),
    }


def test_alternative_name_is_the_devices_urn_alone() -> None:
    names = CERTIFICATE.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert list(names) == [
        x509.UniformResourceIdentifier(f"urn:pulse:tenant:{TENANT}:device:{DEVICE}")
    ]


def test_key_signs_as_a_client_and_nothing_else() -> None:
    extensions = CERTIFICATE.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    basic = extensions.get_extension_for_class(x509.BasicConstraints).value

    assert usage == profile._key_usage(digital_signature=True)
    assert list(extended) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not basic.ca


def test_identifiers_lead_to_the_issuer() -> None:
    extensions = CERTIFICATE.extensions
    authority = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuers = ISSUING.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value

    assert authority.key_identifier == issuers.digest
    assert own == x509.SubjectKeyIdentifier.from_public_key(P256)


def test_distribution_point_and_issuer_are_named() -> None:
    extensions = CERTIFICATE.extensions
    (point,) = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    described, ocsp = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value

    shard = shard_of(CERTIFICATE.serial_number, ISSUER.crl_shards)
    assert point.full_name == [
        x509.UniformResourceIdentifier(f"{BASE_URL}/{ISSUING_ID}/{shard}.crl"),
    ]
    assert (point.relative_name, point.reasons, point.crl_issuer) == (None, None, None)
    assert described.access_method == AuthorityInformationAccessOID.CA_ISSUERS
    assert described.access_location.value == f"{BASE_URL}/{ISSUING_ID}.crt"
    assert ocsp.access_method == AuthorityInformationAccessOID.OCSP
    assert ocsp.access_location.value == f"{BASE_URL}/ocsp"


def test_serial_numbers_are_20_octets_positive_and_random() -> None:
    numbers = [profile.random_serial_number() for _ in range(200)]

    assert len(set(numbers)) == 200
    # 159 bits: the first of 20 octets has its sign bit clear and is not zero.
    assert {number.bit_length() for number in numbers} == {159}


def test_validity_begins_a_minute_ago_and_lasts_the_lifetime() -> None:
    certificate = issue(now=NOW + timedelta(days=1), lifetime=timedelta(days=7))

    begin = SECOND + timedelta(days=1)
    assert certificate.not_valid_before_utc == begin - timedelta(seconds=60)
    assert certificate.not_valid_after_utc == begin + timedelta(days=7)


def test_certificate_never_outlives_its_issuer() -> None:
    late = ISSUING.not_valid_after_utc - timedelta(days=3)

    assert issue(now=late).not_valid_after_utc == ISSUING.not_valid_after_utc


def test_issuer_never_outlives_the_root() -> None:
    assert ISSUING.not_valid_after_utc <= ROOT.not_valid_after_utc


@pytest.mark.parametrize("at", [ISSUING.not_valid_after_utc, NOW - timedelta(days=1)])
def test_issuer_that_is_not_valid_issues_nothing(at: datetime) -> None:
    with pytest.raises(Unavailable):
        issue(now=at)


@pytest.mark.parametrize("key", [P256, P384, RSA], ids=["p256", "p384", "rsa2048"])
def test_chain_verifies_as_a_client(key: DeviceKey) -> None:
    verifier = PolicyBuilder().store(Store([ROOT])).time(NOW).build_client_verifier()

    verified = verifier.verify(issue(key), [ISSUING])

    assert verified.chain == [issue_like(verified.chain[0]), ISSUING, ROOT]


def issue_like(certificate: x509.Certificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(certificate.public_bytes(Encoding.DER))


def test_ed25519_certificate_is_signed_by_the_issuer() -> None:
    # cryptography's verifier follows the web's rules, which know no Ed25519.
    issue(ED25519).verify_directly_issued_by(ISSUING)


def test_chain_does_not_verify_without_the_issuing_certificate_or_later() -> None:
    store = Store([ROOT])
    late = PolicyBuilder().store(store).time(NOW + timedelta(days=91)).build_client_verifier()
    now = PolicyBuilder().store(store).time(NOW).build_client_verifier()

    with pytest.raises(VerificationError):
        now.verify(CERTIFICATE, [])
    with pytest.raises(VerificationError):
        late.verify(CERTIFICATE, [ISSUING])


def test_device_certificate_can_not_issue() -> None:
    device_key = ec.generate_private_key(ec.SECP256R1())
    leaf = issue(device_key.public_key())
    builder = profile.device_certificate(
        DeviceName(TENANT, uuid4()),
        P256,
        issuer=Issuer(issuer_id=ISSUING_ID, kind="issuing", certificate=leaf),
        profile=DeviceProfile(base_url=BASE_URL, lifetime=timedelta(days=1)),
        now=NOW,
    )
    forged = FileSigner(device_key).sign_certificate(builder)
    verifier = PolicyBuilder().store(Store([ROOT])).time(NOW).build_client_verifier()

    with pytest.raises(VerificationError):
        verifier.verify(forged, [leaf, ISSUING])
