"""What anybody may fetch, and nothing beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import httpx2
import pytest
from cryptography import x509

from cert_worker.app import create_app
from cert_worker.domain import ShardId
from cert_worker.handlers.pki import Pki
from cert_worker.ocsp import Ocsp
from cert_worker.routes import endpoints
from pulse_common.health import Readiness
from pulse_common.health import endpoints as health_endpoints
from pulse_common.http import Open

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.cert_worker.tests.conftest import HeldClock, Service

    from cert_worker.crl import Crl
    from cert_worker.root_lists import RootLists

pytestmark = pytest.mark.anyio


@pytest.fixture
def pki(service: Service, root_lists: RootLists, clock: HeldClock) -> Pki:
    ocsp = Ocsp(database=service.database, authorities=service.authorities, clock=clock)
    return Pki(
        authorities=service.authorities,
        publisher=service.publisher,
        root_lists=root_lists,
        ocsp=ocsp,
        clock=clock,
    )


@pytest.fixture
async def client(pki: Pki) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(create_app(pki=pki, readiness=Readiness()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://pki.test") as client:
        yield client


def issuing(service: Service) -> str:
    return str(service.authority.issuing.issuer_id)


def first_list(service: Service) -> Crl:
    found = service.publisher.current(ShardId(service.authority.issuing.issuer_id, 0))
    assert found is not None
    return found


async def test_routes_are_exactly_these_and_all_open(pki: Pki) -> None:
    every = [*endpoints(pki), *health_endpoints(Readiness())]

    assert all(isinstance(endpoint, Open) for endpoint in every)
    assert [(endpoint.method, endpoint.path) for endpoint in every] == [
        ("GET", "/pki/bundle.pem"),
        ("POST", "/pki/ocsp"),
        ("GET", "/pki/ocsp/{request:path}"),
        ("GET", "/pki/{issuer_id}/{shard}.crl"),
        ("GET", "/pki/{issuer_id}/{shard}.crl.der"),
        ("GET", "/pki/{issuer_id}.crl"),
        ("GET", "/pki/{issuer_id}.crt"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
    ]


async def test_distribution_point_serves_pem_which_emqx_wants(
    client: httpx2.AsyncClient, service: Service
) -> None:
    answer = await client.get(f"/pki/{issuing(service)}/0.crl")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-pem-file"
    assert answer.content.startswith(b"-----BEGIN X509 CRL-----")
    found = x509.load_pem_x509_crl(answer.content)
    assert found.is_signature_valid(service.authority.signer.public_key)


async def test_der_list_is_the_same_list(client: httpx2.AsyncClient, service: Service) -> None:
    answer = await client.get(f"/pki/{issuing(service)}/0.crl.der")

    assert answer.headers["content-type"] == "application/pkix-crl"
    assert answer.content == first_list(service).der


@pytest.mark.parametrize("kind", ["issuing", "root"])
async def test_issuers_certificates_are_served_in_der(
    client: httpx2.AsyncClient, service: Service, kind: str
) -> None:
    issuer = getattr(service.authority, kind)

    answer = await client.get(f"/pki/{issuer.issuer_id}.crt")

    assert answer.headers["content-type"] == "application/pkix-cert"
    assert x509.load_der_x509_certificate(answer.content) == issuer.certificate


async def test_bundle_is_the_issuing_certificate_and_the_root(
    client: httpx2.AsyncClient, service: Service
) -> None:
    answer = await client.get("/pki/bundle.pem")

    assert answer.headers["content-type"] == "application/pem-certificate-chain"
    assert x509.load_pem_x509_certificates(answer.content) == [
        service.authority.issuing.certificate,
        service.authority.root.certificate,
    ]


async def test_urls_in_a_certificate_lead_to_what_it_needs(
    client: httpx2.AsyncClient, service: Service
) -> None:
    access = service.authority.issuing.certificate.extensions.get_extension_for_class(
        x509.AuthorityInformationAccess
    ).value

    answer = await client.get(access[0].access_location.value)

    assert x509.load_der_x509_certificate(answer.content) == service.authority.root.certificate


@pytest.mark.parametrize("ending", ["/0.crl", "/0.crl.der", ".crt"])
@pytest.mark.parametrize(
    "name",
    [
        "0197c1a0-0000-7000-8000-000000000000",
        "x",
        "%00",
        "..%2f..%2fetc%2fpasswd",
        "ISSUING",
        "{ISSUING}",
    ],
)
async def test_anything_else_is_a_404_problem(
    client: httpx2.AsyncClient, service: Service, name: str, ending: str
) -> None:
    wanted = name.replace("ISSUING", issuing(service).upper())

    answer = await client.get(f"/pki/{wanted}{ending}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_root_has_no_list(client: httpx2.AsyncClient, service: Service) -> None:
    answer = await client.get(f"/pki/{service.authority.root.issuer_id}/0.crl")

    assert answer.status_code == 404


@pytest.mark.parametrize("shard", ["4", "-1", "00", "x", "1e0", "\u0661", "99999999999999999999"])
async def test_shard_that_is_none_is_not_found(
    client: httpx2.AsyncClient, service: Service, shard: str
) -> None:
    answer = await client.get(f"/pki/{issuing(service)}/{shard}.crl")

    assert answer.status_code == 404


async def test_head_is_answered(client: httpx2.AsyncClient, service: Service) -> None:
    answer = await client.head(f"/pki/{issuing(service)}/0.crl")

    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(first_list(service).pem)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_nothing_can_be_written(
    client: httpx2.AsyncClient, service: Service, method: str
) -> None:
    answer = await client.request(method, f"/pki/{issuing(service)}/0.crl")

    assert answer.status_code == 405


async def test_known_list_is_not_sent_again_and_a_new_one_is(
    client: httpx2.AsyncClient, service: Service
) -> None:
    path = f"/pki/{issuing(service)}/0.crl"
    known = {"if-none-match": f'"x", W/{(await client.get(path)).headers["etag"]}'}

    again = await client.get(path, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    await service.publisher.publish()

    assert (await client.get(path, headers=known)).status_code == 200


async def test_nobody_caches_a_list_past_its_end(
    client: httpx2.AsyncClient, service: Service, clock: HeldClock
) -> None:
    path = f"/pki/{issuing(service)}/0.crl"

    async def max_age() -> str:
        return (await client.get(path)).headers["cache-control"].split(",")[1].strip()

    assert await max_age() == "max-age=60"
    clock.now = first_list(service).next_update - timedelta(seconds=30)
    assert await max_age() == "max-age=30"
    clock.move(timedelta(minutes=1))
    assert await max_age() == "max-age=0"


async def test_root_s_own_list_is_served_in_der_and_an_issuing_ca_has_none_there(
    service: Service, client: httpx2.AsyncClient
) -> None:
    root = service.authority.root
    answer = await client.get(f"/pki/{root.issuer_id}.crl")
    none = await client.get(f"/pki/{issuing(service)}.crl")

    found = x509.load_der_x509_crl(answer.content)
    assert found.issuer == root.certificate.subject
    assert answer.headers["content-type"] == "application/pkix-crl"
    assert none.status_code == 404
