"""From the suspension of a tenant with 1,000 connected devices to the gate's word that all are silent.

The parts are those of ``revocation.py``: a real database, NATS and gate, and a stand-in for the broker that takes 3 ms
for each call and publishes the will of whoever is kicked without a ban.  Fails at 2 s, or when anything is left.
"""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

import psycopg

# As in the tests' own configuration, the repository is where `tests` is found.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import revocation
from tests.parts import Nats, Postgres, free_port, running_postgres, wait_for_port

if TYPE_CHECKING:
    from uuid import UUID

MOST_SECONDS = 2.0
DEVICES = 1_000
ROUNDS = 3
WAIT_SECONDS = 60.0
ACTIVE, SUSPENDED = ("active", "resumed"), ("suspended", "suspended")
CHANGE: LiteralString = """
    WITH changed AS (
        UPDATE tenants SET status = %(status)s WHERE tenant_id = %(tenant)s RETURNING tenant_id)
    INSERT INTO outbox (tenant_id, event_id, producer, subject, payload)
    SELECT tenant_id, gen_random_uuid(), 'svc_cert_worker', 'pulse.events.tenant.' || %(word)s::text,
           jsonb_build_object('tenant_id', tenant_id, 'at', clock_timestamp(), 'reason', 'a benchmark')
      FROM changed
"""
TOLD: LiteralString = """
    SELECT (details ->> 'seconds')::float FROM audit_log
     WHERE tenant_id = %(tenant)s AND object_kind = 'tenant' AND action = %(action)s
"""


def change(connection: psycopg.Connection, to: tuple[str, str], tenant: UUID) -> None:
    status, word = to
    connection.execute(CHANGE, {"status": status, "word": word, "tenant": tenant})


def told(connection: psycopg.Connection, tenant: UUID, action: str, count: int) -> list[float]:
    """Wait until the gate has written so many rows of ``action``; the seconds in them."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        rows = connection.execute(TOLD, {"tenant": tenant, "action": action}).fetchall()
        if len(rows) >= count:
            return [float(row[0]) for row in rows]
        if time.monotonic() > deadline:
            sys.exit(f"the gate said {action} {len(rows)} times of {count}")
        time.sleep(0.05)


def measure(connection: psycopg.Connection, broker_port: int) -> tuple[bool, object]:
    """Suspend and resume; whether all were in time, and what was left after the first, when all were connected."""
    tenant = revocation.TENANT
    change(connection, SUSPENDED, tenant)
    (first,) = told(connection, tenant, "session.cut", 1)
    remains = revocation.left(broker_port)
    for count in range(1, ROUNDS):
        change(connection, ACTIVE, tenant)
        told(connection, tenant, "device.readmit", count)
        change(connection, SUSPENDED, tenant)
        told(connection, tenant, "session.cut", count + 1)
    cuts = told(connection, tenant, "session.cut", ROUNDS)
    resumed = told(connection, tenant, "device.readmit", ROUNDS - 1)
    print(f"suspension to silence  {first:.3f} s for {DEVICES} sessions (below {MOST_SECONDS:.0f})")
    print(f"each suspension        {', '.join(f'{one:.3f}' for one in sorted(cuts))} s")
    print(f"each resumption        {', '.join(f'{one:.3f}' for one in sorted(resumed))} s")
    print(f"left                   {remains}")
    return max(*cuts, *resumed) < MOST_SECONDS, remains


def run(cluster: Postgres, nats: Nats) -> list[str]:
    """Return what missed its target."""
    port = free_port()
    broker = multiprocessing.get_context("spawn").Process(
        target=revocation.serve_broker, args=(port, DEVICES), daemon=True
    )
    broker.start()
    wait_for_port(port, 30)
    values = {"tenant": revocation.TENANT, "issuer": revocation.ISSUER, "sessions": DEVICES}
    with psycopg.connect(cluster.superuser, autocommit=True) as connection:
        for statement in revocation.FILL:
            connection.execute(statement, values)
        gate = revocation.start_gate(cluster, nats, port)
        try:
            with revocation.relaying(cluster, nats):
                in_time, remains = measure(connection, port)
        finally:
            gate.send_signal(signal.SIGTERM)
            gate.wait(20)
            broker.terminate()
    return ["2 s"] * (not in_time) + ["silence"] * (remains != {"wills": 0, "sessions": 0})


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="pulse-bench-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when this one is root
    nats = Nats(free_port(), folder / "jetstream")
    try:
        nats.start()
        with running_postgres(folder) as cluster:
            missed = run(cluster, nats)
    finally:
        nats.kill()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(f"missed: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
