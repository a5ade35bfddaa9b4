"""What a CRL says, read back from its bytes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cert_worker import crl, profile
from cert_worker.ca import FileSigner
from cert_worker.domain import Issuer, Revocation, ShardId
from pulse_common.events import RevocationReason

NOW = datetime(2026, 3, 1, 12, 0, 0, 987_654, UTC)
SECOND = NOW.replace(microsecond=0)
ISSUER_ID = uuid4()
URL = profile.crl_url("http://pki.test/pki", ShardId(ISSUER_ID, 0))
SIGNER = FileSigner(ec.generate_private_key(ec.SECP256R1()))
ISSUER = SIGNER.sign_certificate(profile.root_certificate(ISSUER_ID, SIGNER.public_key, now=NOW))


def build(*entries: Revocation) -> crl.Crl:
    return crl.build(SIGNER, ISSUER, entries, number=7, url=URL, now=NOW)


def parse(built: crl.Crl) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(built.der)


def test_list_is_signed_by_its_issuer_and_dated() -> None:
    found = parse(build())

    assert found.is_signature_valid(SIGNER.public_key)
    assert found.issuer == ISSUER.subject
    assert found.last_update_utc == SECOND
    assert found.next_update_utc == SECOND + timedelta(hours=24)


def test_extensions_are_exactly_these() -> None:
    found = {(type(item.value), item.critical) for item in parse(build()).extensions}

    assert found == {
        (x509.AuthorityKeyIdentifier, False),
        (x509.CRLNumber, False),
        (x509.IssuingDistributionPoint, True),
    }


def test_scope_is_the_distribution_point_of_the_certificates() -> None:
    leaf = profile.device_certificate(
        profile.DeviceName(uuid4(), uuid4()),
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        issuer=Issuer(issuer_id=ISSUER_ID, kind="issuing", certificate=ISSUER, crl_shards=1),
        profile=profile.DeviceProfile(base_url="http://pki.test/pki", lifetime=timedelta(days=1)),
        now=NOW,
    )
    certificate = SIGNER.sign_certificate(leaf)

    scope = parse(build()).extensions.get_extension_for_class(x509.IssuingDistributionPoint).value

    (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert scope.full_name == point.full_name
    assert scope.only_contains_user_certs
    assert not scope.only_contains_ca_certs
    assert not scope.indirect_crl


def test_authority_key_and_number_are_given() -> None:
    extensions = parse(build()).extensions

    authority = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    issuers = ISSUER.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert authority.key_identifier == issuers.digest
    assert extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7


@pytest.mark.parametrize("reason", sorted(set(get_args(RevocationReason)) - {"unspecified"}))
def test_reason_is_given_as_asked(reason: str) -> None:
    found = parse(build(Revocation(5, NOW, reason)))

    (entry,) = found
    assert entry.serial_number == 5
    assert entry.revocation_date_utc == SECOND
    given = entry.extensions.get_extension_for_class(x509.CRLReason)
    assert (given.value.reason.value, given.critical) == (reason, False)


def test_unspecified_reason_is_left_out() -> None:
    (entry,) = parse(build(Revocation(5, NOW, "unspecified")))

    assert len(entry.extensions) == 0


def test_stored_list_reads_back_as_it_was() -> None:
    built = build(Revocation(5, NOW, "superseded"))

    assert crl.read(built.der) == built
    assert x509.load_pem_x509_crl(built.pem).public_bytes(Encoding.DER) == built.der


def test_20_000_entries_take_seconds_not_minutes() -> None:
    entries = [
        Revocation(profile.random_serial_number(), NOW, "keyCompromise") for _ in range(20_000)
    ]
    begun = time.perf_counter()

    built = build(*entries)

    # 0.2 s on two cores; one entry at a time through the builder's own method takes minutes.
    assert time.perf_counter() - begun < 5
    assert len(parse(built)) == 20_000
