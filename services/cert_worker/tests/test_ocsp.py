"""OCSP answers what the lists say, signed by a key that can do nothing else."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from services.cert_worker.tests.conftest import HeldClock, revoke_request, sign_request

from cert_worker.app import create_app
from cert_worker.handlers.pki import Pki
from cert_worker.ocsp import Ocsp
from pulse_common.errors import Unavailable
from pulse_common.health import Readiness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.cert_worker.tests.conftest import FreshDatabase, Service

    from cert_worker.root_lists import RootLists

pytestmark = pytest.mark.anyio
GOOD, REVOKED, UNKNOWN = (
    ocsp.OCSPCertStatus.GOOD,
    ocsp.OCSPCertStatus.REVOKED,
    ocsp.OCSPCertStatus.UNKNOWN,
)


@pytest.fixture
async def client(
    service: Service, root_lists: RootLists, clock: HeldClock
) -> AsyncIterator[httpx2.AsyncClient]:
    responder = Ocsp(database=service.database, authorities=service.authorities, clock=clock)
    pki = Pki(
        authorities=service.authorities,
        publisher=service.publisher,
        root_lists=root_lists,
        ocsp=responder,
        clock=clock,
    )
    transport = httpx2.ASGITransport(create_app(pki=pki, readiness=Readiness()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://pki.test") as client:
        yield client


def make_request(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    algorithm: hashes.HashAlgorithm | None = None,
    nonce: bytes | None = None,
) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        certificate, issuer, algorithm or hashes.SHA256()
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


async def ask(client: httpx2.AsyncClient, request: bytes) -> ocsp.OCSPResponse:
    answer = await client.post("/pki/ocsp", content=request)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/ocsp-response"
    return ocsp.load_der_ocsp_response(answer.content)


async def issue(service: Service, fresh: FreshDatabase) -> x509.Certificate:
    issued = await service.signing.sign(sign_request(*fresh.add_device()))
    return x509.load_pem_x509_certificate(issued.certificate_pem.encode())


# What most clients name certificates by; nothing is signed with it.
SHA1 = hashes.SHA1()  # noqa: S303 -- see above


@pytest.mark.parametrize("algorithm", [SHA1, hashes.SHA256()], ids=["sha1", "sha256"])
async def test_good_certificate_is_said_to_be_good_by_a_delegated_key(
    service: Service,
    fresh: FreshDatabase,
    client: httpx2.AsyncClient,
    algorithm: hashes.HashAlgorithm,
) -> None:
    certificate, issuer = await issue(service, fresh), service.authority.issuing.certificate

    answer = await ask(client, make_request(certificate, issuer, algorithm))

    assert answer.certificate_status == GOOD
    (responder,) = answer.certificates
    responder.verify_directly_issued_by(issuer)
    purposes = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert responder.extensions.get_extension_for_class(x509.OCSPNoCheck).critical is False
    key = responder.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))


async def test_revocation_is_answered_within_a_minute_with_its_reason(
    service: Service, fresh: FreshDatabase, client: httpx2.AsyncClient, clock: HeldClock
) -> None:
    tenant_id, device_id = fresh.add_device()
    issued = await service.signing.sign(sign_request(tenant_id, device_id))
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem.encode())
    request = make_request(certificate, service.authority.issuing.certificate)
    assert (await ask(client, request)).certificate_status == GOOD
    await service.revoking.revoke(revoke_request(tenant_id, device_id))
    clock.move(timedelta(seconds=61))

    answer = await ask(client, request)

    assert answer.certificate_status == REVOKED
    assert answer.revocation_reason == x509.ReasonFlags.key_compromise


async def test_nonce_comes_back_and_is_never_kept(
    service: Service, fresh: FreshDatabase, client: httpx2.AsyncClient
) -> None:
    certificate, issuer = await issue(service, fresh), service.authority.issuing.certificate

    for nonce in (b"1" * 32, b"2"):
        answer = await ask(client, make_request(certificate, issuer, nonce=nonce))
        assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce


async def test_answer_is_signed_once_a_minute_however_the_question_is_written(
    service: Service, fresh: FreshDatabase, client: httpx2.AsyncClient, clock: HeldClock
) -> None:
    certificate, issuer = await issue(service, fresh), service.authority.issuing.certificate
    # The same question with an extension that nobody knows: other bytes.
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256())
    written_otherwise = builder.add_extension(strange, critical=False).build()
    first = await client.post("/pki/ocsp", content=make_request(certificate, issuer))

    again = await client.post("/pki/ocsp", content=written_otherwise.public_bytes(Encoding.DER))
    clock.move(timedelta(seconds=61))
    later = await client.post("/pki/ocsp", content=make_request(certificate, issuer))

    assert again.content == first.content
    assert later.content != first.content


async def test_unknown_serial_number_is_unknown_and_a_foreign_issuer_unauthorized(
    service: Service, fresh: FreshDatabase, client: httpx2.AsyncClient
) -> None:
    issuing, root = service.authority.issuing.certificate, service.authority.root.certificate
    certificate = await issue(service, fresh)
    service.rows.execute("DELETE FROM certificates")

    stranger = await ask(client, make_request(certificate, issuing))
    foreign = await ask(client, make_request(root, root))

    assert stranger.certificate_status == UNKNOWN
    assert foreign.response_status == ocsp.OCSPResponseStatus.UNAUTHORIZED


async def test_what_is_no_request_is_malformed(
    service: Service, fresh: FreshDatabase, client: httpx2.AsyncClient
) -> None:
    issuer = service.authority.issuing.certificate
    long_nonce = make_request(issuer, issuer, nonce=b"n" * 33)

    for body in (b"", b"\0", b"x" * 5000, long_nonce, b"\x30\x80" * 500):
        answer = await ask(client, body)
        assert answer.response_status == ocsp.OCSPResponseStatus.MALFORMED_REQUEST


async def test_get_answers_like_post(
    service: Service, fresh: FreshDatabase, client: httpx2.AsyncClient
) -> None:
    certificate, issuer = await issue(service, fresh), service.authority.issuing.certificate
    request = make_request(certificate, issuer)
    posted = await client.post("/pki/ocsp", content=request)

    text = base64.b64encode(request).decode().replace("+", "%2B").replace("/", "%2F")
    got = await client.get(f"/pki/ocsp/{text}")

    assert got.content == posted.content


async def test_what_was_asked_for_lately_is_signed_ahead_by_what_is_known_then(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    responder = Ocsp(database=service.database, authorities=service.authorities, clock=clock)
    tenant_id, device_id = fresh.add_device()
    issued = await service.signing.sign(sign_request(tenant_id, device_id))
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem.encode())
    request = make_request(certificate, service.authority.issuing.certificate)
    good = ocsp.load_der_ocsp_response(await responder.answer(request))
    await service.revoking.revoke(revoke_request(tenant_id, device_id))
    clock.move(timedelta(seconds=30))

    assert await responder.sign_ahead() == 1

    answer = ocsp.load_der_ocsp_response(await responder.answer(request))
    assert (good.certificate_status, answer.certificate_status) == (GOOD, REVOKED)
    clock.move(timedelta(minutes=11))
    assert await responder.sign_ahead() == 0, "nobody has asked for long"


async def test_answers_go_on_for_their_hour_while_the_database_is_away(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    responder = Ocsp(database=service.database, authorities=service.authorities, clock=clock)
    certificate, issuer = await issue(service, fresh), service.authority.issuing.certificate
    request = make_request(certificate, issuer)
    first = await responder.answer(request)
    await service.database.close()
    clock.move(timedelta(minutes=59))

    assert await responder.answer(request) == first
    with pytest.raises(Unavailable):
        await responder.answer(make_request(certificate, issuer, nonce=b"1"))
    clock.move(timedelta(minutes=2))
    with pytest.raises(Unavailable):
        await responder.answer(request)
