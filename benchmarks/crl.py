"""What it takes to make every revocation list anew: 1,000,000 certificates, 200,000 of them revoked, 64 shards.

Fails above 20 s or 500 MB for all lists in one process (reading, encoding, signing, checking and storing), or when one
revocation takes longer than a second to be served.  Beside it, the bare cost: encoding and signing the same lists from
memory.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString
from uuid import UUID

import psycopg

# As in the tests' own configuration, the repository is where `tests` is found.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.parts import Postgres, running_postgres

from cert_worker import crl, store_crl
from cert_worker.authority import Authorities, open_authorities
from cert_worker.domain import ShardId
from cert_worker.handlers.revoke import Revoking
from cert_worker.publisher import CrlPublisher
from cert_worker.rehearsal import make_everything
from cert_worker.signers import Place
from pulse_common import events
from pulse_common.clock import system_clock
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable

CERTIFICATES = 1_000_000
REVOKED = 200_000
SHARDS = 64
MOST_SECONDS = 20.0
MOST_MEBIBYTES = 500.0
MOST_SECONDS_OF_ONE = 1.0
BASE_URL = "http://pki.test/pki"
TENANT = UUID(int=1)
FILL: tuple[LiteralString, ...] = (
    # Foreign keys hold by construction, and checking a million of them is not what is measured.
    "SET session_replication_role = replica",
    "INSERT INTO tenants (tenant_id, name) VALUES (%(tenant)s, 'Acme')",
    """
    INSERT INTO devices (tenant_id, device_id, name)
    SELECT %(tenant)s, lpad(to_hex(n), 32, '0')::uuid, 'Device ' || n FROM generate_series(1, %(certificates)s::int) n
    """,
    """
    INSERT INTO certificates (tenant_id, certificate_id, device_id, issuer_id, serial_number, fingerprint_sha256,
                              public_key_sha256, certificate_der, not_before, not_after, status, revoked_at,
                              revocation_reason, crl_shard)
    SELECT %(tenant)s, id, id, %(issuer)s, serial, sha256(serial::bytea), sha256(id::text::bytea),
           decode(repeat('30', 800), 'hex'), now() - interval '1 day', now() + interval '89 days',
           CASE WHEN revoked THEN 'revoked' ELSE 'valid' END, CASE WHEN revoked THEN now() END,
           CASE WHEN revoked THEN 'keyCompromise' END, ('x' || right(serial, 2))::bit(8)::int %% %(shards)s
      FROM (SELECT lpad(to_hex(n), 32, '0')::uuid AS id, n %% (%(certificates)s / %(revoked)s) = 0 AS revoked,
                   '4' || md5(n::text) || left(md5('x' || n), 7) AS serial
              FROM generate_series(1, %(certificates)s::int) n) AS made
    """,
    "RESET session_replication_role",
    "ANALYZE certificates, devices",
)


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="pulse-bench-"))
    folder.chmod(0o755)
    try:
        with running_postgres(folder) as postgres:
            return asyncio.run(measure(postgres, folder / "ca"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def measure(postgres: Postgres, directory: Path) -> int:
    database = Database(postgres.url("svc_cert_worker"), name="benchmark")
    await database.open()
    place = Place(directory=directory, passphrase=b"p" * 32, base_url=BASE_URL, crl_shards=SHARDS)
    make_everything(place, directory.with_name("root"), system_clock())
    authorities = await open_authorities(database, place)
    fill(postgres, authorities)
    publisher = CrlPublisher(
        database=database, authorities=authorities, base_url=BASE_URL, clock=system_clock
    )
    before = peak_mebibytes()
    first = await seconds(publisher.publish())
    # The second time, each list is also compared with the one before it.
    again = await seconds(publisher.publish())
    mebibytes = peak_mebibytes()
    entries = sum(len(crl.serials(one.der)) for one in publisher.lists.values())
    bare = await bare_seconds(database, authorities)
    one = await seconds_of_one(database, publisher)
    await database.close()
    size = sum(len(made.der) for made in publisher.lists.values()) / 1e6
    print(f"lists: {len(publisher.lists)} with {entries} entries, {size:.1f} MB of DER")
    print(f"every list anew: {again:.2f} s (the first time {first:.2f} s); at most {MOST_SECONDS}")
    print(f"bare encoding and signing from memory: {bare:.2f} s, ratio {again / bare:.1f}")
    print(
        f"memory at its peak: {mebibytes:.0f} MiB ({before:.0f} before); at most {MOST_MEBIBYTES}"
    )
    print(f"one revocation until it is served: {one:.2f} s; at most {MOST_SECONDS_OF_ONE}")
    good = (
        entries == REVOKED
        and max(first, again) <= MOST_SECONDS
        and mebibytes <= MOST_MEBIBYTES
        and one <= MOST_SECONDS_OF_ONE
    )
    return 0 if good else 1


def fill(postgres: Postgres, authorities: Authorities) -> None:
    values = {
        "tenant": TENANT,
        "issuer": authorities.of_profile("device").issuing.issuer_id,
        "certificates": CERTIFICATES,
        "revoked": REVOKED,
        "shards": SHARDS,
    }
    with psycopg.connect(postgres.superuser, autocommit=True) as rows:
        for statement in FILL:
            rows.execute(statement, values)


async def bare_seconds(database: Database, authorities: Authorities) -> float:
    """Encode and sign the same entries, with nothing read, checked or stored."""
    authority = authorities.of_profile("device")
    async with database.service_connection("pulse_ca") as tx:
        entries = {
            shard: await store_crl.list_revocations(
                tx, shard, expiring_after=datetime.min.replace(tzinfo=UTC)
            )
            for shard in authority.shards
        }
    begun = time.perf_counter()
    for found in entries.values():
        crl.build(
            authority.signer,
            authority.issuing.certificate,
            found,
            number=1,
            url=f"{BASE_URL}/x.crl",
            now=system_clock(),
        )
    return time.perf_counter() - begun


async def seconds_of_one(database: Database, publisher: CrlPublisher) -> float:
    """Revoke one certificate and wait until its list is the one that is served."""
    running = asyncio.create_task(publisher.run())
    revoking = Revoking(database=database, publisher=publisher, clock=system_clock)
    async with database.service_connection("pulse_ca") as tx:
        found = await tx.one(
            "SELECT certificate_id, issuer_id, crl_shard FROM certificates WHERE status = 'valid' LIMIT 1"
        )
    shard = ShardId(found["issuer_id"], found["crl_shard"])
    number = publisher.lists[shard].number
    begun = time.perf_counter()
    await revoking.revoke_certificates(
        events.RevokeCertificatesRequest(
            tenant_id=TENANT,
            by="certificate",
            selected=str(found["certificate_id"]),
            reason="superseded",
            actor_id="benchmark",
        )
    )
    while publisher.lists[shard].number == number:  # noqa: ASYNC110 -- seen from outside, as a reader sees it
        await asyncio.sleep(0.005)
    taken = time.perf_counter() - begun
    running.cancel()
    return taken


async def seconds(work: Awaitable[None]) -> float:
    begun = time.perf_counter()
    await work
    return time.perf_counter() - begun


def peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
