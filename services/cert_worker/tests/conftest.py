"""What the tests of cert_worker share: a database and a CA directory of their own, and the service's parts on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from cert_worker import crl
from cert_worker.authority import Authorities, Authority, open_authorities
from cert_worker.domain import ShardId, shard_of
from cert_worker.handlers.revoke import Revoking
from cert_worker.handlers.sign import Signing
from cert_worker.issuing import Issuing
from cert_worker.profile import DeviceProfile
from cert_worker.publisher import CrlPublisher
from cert_worker.rehearsal import make_everything
from cert_worker.root_lists import RootLists
from cert_worker.signers import Place
from pulse_common import migrations
from pulse_common.events import RevokeRequest, SignRequest
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conftest import Postgres

BASE_URL = "http://pki.test:8480/pki"
SHARDS = 4
PROFILES = {
    "device": DeviceProfile(base_url=BASE_URL, lifetime=timedelta(days=90)),
    "meter": DeviceProfile(
        base_url=BASE_URL,
        lifetime=timedelta(days=365),
        name="meter",
        key_types=frozenset({"P-256"}),
    ),
}
PASSPHRASE = b"a-passphrase-of-at-least-32-characters"


@dataclass
class HeldClock:
    """Stands still until it is told to move."""

    now: datetime = field(default_factory=lambda: datetime(2026, 3, 1, 12, 0, 0, 500, UTC))

    def __call__(self) -> datetime:
        return self.now

    def move(self, step: timedelta) -> None:
        self.now += step


@dataclass(frozen=True)
class FreshDatabase:
    """A migrated database with nothing in it: issuers are nobody's tenant's, so tests can't share them."""

    url: str
    superuser: str

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.superuser, autocommit=True)

    def add_device(
        self, tenant_id: UUID | None = None, *, status: str = "active", tenant: str = "active"
    ) -> tuple[UUID, UUID]:
        tenant_id, device_id = tenant_id or uuid4(), uuid4()
        with self.connect() as rows:
            rows.execute(
                "INSERT INTO tenants (tenant_id, name, status) VALUES (%s, 'Acme', %s) ON CONFLICT DO NOTHING",
                [tenant_id, tenant],
            )
            rows.execute(
                "INSERT INTO devices (tenant_id, device_id, name, status) VALUES (%s, %s, 'lamp', %s)",
                [tenant_id, device_id, status],
            )
        return tenant_id, device_id


@pytest.fixture(scope="session")
def own_database(postgres: Postgres, pytestconfig: pytest.Config) -> FreshDatabase:
    with psycopg.connect(postgres.superuser, autocommit=True) as admin:
        admin.execute("CREATE DATABASE cert_worker_test")
    found = FreshDatabase(
        url=_in("cert_worker_test", postgres.url("svc_cert_worker")),
        superuser=_in("cert_worker_test", postgres.superuser),
    )
    migrations.apply(found.superuser, pytestconfig.rootpath / "db")
    return found


@pytest.fixture
def fresh(own_database: FreshDatabase) -> FreshDatabase:
    with own_database.connect() as rows:
        rows.execute(
            "DELETE FROM expiry_warnings; "
            "DELETE FROM rollovers; DELETE FROM root_lists; DELETE FROM device_trust; "
            "DELETE FROM crl_pending; DELETE FROM crl_shards; DELETE FROM certificates; DELETE FROM issuers; "
            " DELETE FROM devices; DELETE FROM tenants; "
            "DELETE FROM outbox; DELETE FROM audit_log"
        )
    return own_database


def _in(database: str, url: str) -> str:
    return f"{url.rpartition('/')[0]}/{database}"


@pytest.fixture
async def database(fresh: FreshDatabase) -> AsyncIterator[Database]:
    database = Database(fresh.url, name="cert_worker")
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(
        directory=tmp_path / "ca", passphrase=PASSPHRASE, base_url=BASE_URL, crl_shards=SHARDS
    )


@pytest.fixture
def root_folder(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere"


@pytest.fixture
async def authorities(
    database: Database, place: Place, root_folder: Path, clock: HeldClock
) -> Authorities:
    make_everything(place, root_folder, clock())
    return await open_authorities(database, place, clock)


@pytest.fixture
def authority(authorities: Authorities) -> Authority:
    return authorities.of_profile("device")


@dataclass(frozen=True, kw_only=True)
class Service:
    """The parts of one running replica, but for the wires."""

    database: Database
    authorities: Authorities
    authority: Authority
    publisher: CrlPublisher
    signing: Signing
    revoking: Revoking
    rows: psycopg.Connection

    def fetch(self, query: str, *values: object) -> list[tuple[object, ...]]:
        return self.rows.execute(query.encode(), values).fetchall()


@pytest.fixture
async def service(
    database: Database,
    authorities: Authorities,
    authority: Authority,
    clock: HeldClock,
    fresh: FreshDatabase,
) -> AsyncIterator[Service]:
    publisher = make_publisher(database, authorities, clock)
    await publisher.follow()
    issuing = Issuing(authorities=authorities, profiles=PROFILES, clock=clock)
    with fresh.connect() as rows:
        yield Service(
            database=database,
            authorities=authorities,
            authority=authority,
            publisher=publisher,
            signing=Signing(database=database, issuing=issuing, clock=clock),
            revoking=Revoking(database=database, publisher=publisher, clock=clock),
            rows=rows,
        )


@pytest.fixture
async def root_lists(service: Service, place: Place, clock: HeldClock) -> RootLists:
    lists = RootLists(
        database=service.database,
        authorities=service.authorities,
        directory=place.directory,
        clock=clock,
    )
    await lists.follow()
    return lists


def make_publisher(database: Database, authorities: Authorities, clock: HeldClock) -> CrlPublisher:
    return CrlPublisher(database=database, authorities=authorities, base_url=BASE_URL, clock=clock)


def shard_with(authority: Authority, serial: str) -> ShardId:
    """Say which list tells of a certificate."""
    return ShardId(authority.issuing.issuer_id, shard_of(int(serial, 16), SHARDS))


def listed(publisher: CrlPublisher, shard: ShardId) -> set[str]:
    found = publisher.current(shard)
    assert found is not None
    return {f"{serial:x}" for serial in crl.serials(found.der)}


def make_csr(key: ec.EllipticCurvePrivateKey | None = None) -> str:
    """Ask for everything that a device must not get."""
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "admin")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("evil.test")]), critical=False)
    )
    csr = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), SHA256())
    return csr.public_bytes(Encoding.PEM).decode()


def sign_request(tenant_id: UUID, device_id: UUID, csr: str | None = None) -> SignRequest:
    return SignRequest(
        tenant_id=tenant_id,
        device_id=device_id,
        csr_pem=csr or make_csr(),
        actor_id="token-1",
        request_id="request-1",
    )


def revoke_request(tenant_id: UUID, device_id: UUID) -> RevokeRequest:
    return RevokeRequest(
        tenant_id=tenant_id,
        device_id=device_id,
        reason="keyCompromise",
        actor_id="alice",
        request_id="request-2",
    )
