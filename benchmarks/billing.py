"""How many signed Stripe events one process of billing_webhooks accepts and handles a second, and what a repeat costs.

Beside it, as a baseline, what cannot be left out: a bare Starlette endpoint that verifies, fetches, inserts the event's
row and answers.  Both are processes of their own, reached over HTTP; each subscription is fetched over HTTP from a
stand-in (a process too, with one subscription a customer), and committed to a real PostgreSQL.  Prints rates, and how
many transactions of the repeats wrote anything: ``python benchmarks/billing.py``; exits 1 below what is wanted.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import psycopg
import stripe

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.parts import PASSWORD, Nats, free_port, running_postgres, wait_for_port  # noqa: E402

SECRET = "whsec_for_the_benchmark"  # noqa: S105 -- of nothing
EVENTS = 5_000
REPEATS = 10_000
TENANTS = 500
AT_ONCE = 16
WANTED_PER_SECOND = 500
LENGTH = re.compile(rb"content-length: (\d+)")

# As little work as can be: it shares its cores with what is measured.
STAND_IN = """
import asyncio, json, sys
class Stripe(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.kept = transport, b""
    def data_received(self, data):
        self.kept += data
        while b"\\r\\n\\r\\n" in self.kept:
            head, _, self.kept = self.kept.partition(b"\\r\\n\\r\\n")
            name = head.split(b" ", 2)[1].rsplit(b"/", 1)[-1].decode()
            body = json.dumps({
                "id": name, "customer": "cus_" + name.split("_")[-1], "status": "active", "livemode": False,
                "created": 1, "items": {"data": [
                    {"price": {"id": "price_a"}, "quantity": 1, "current_period_end": 2000000000}]},
            }).encode()
            self.transport.write(b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d"
                                 b"\\r\\n\\r\\n%s" % (len(body), body))
async def main():
    server = await asyncio.get_running_loop().create_server(Stripe, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""

BARE = """
import json, sys
from contextlib import asynccontextmanager
import aiohttp, stripe, uvicorn
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
port, database, base, secret = int(sys.argv[1]), *sys.argv[2:]
async def receive(request):
    body = await request.body()
    stripe.WebhookSignature.verify_header(body, request.headers["stripe-signature"], secret, 300)
    event = json.loads(body)
    async with pool.connection() as connection:
        claimed = await connection.execute(
            "INSERT INTO bare (event_id) VALUES (%s) ON CONFLICT DO NOTHING RETURNING event_id", [event["id"]])
        if await claimed.fetchone():
            async with http.get(base + "/v1/subscriptions/" + event["data"]["object"]["id"]) as answer:
                await answer.json()
    return JSONResponse({"received": True})
@asynccontextmanager
async def life(app):
    global pool, http
    async with AsyncConnectionPool(database, min_size=1, max_size=20, open=False) as pool:
        async with aiohttp.ClientSession() as http:
            yield
app = Starlette(routes=[Route("/webhooks/stripe", receive, methods=["POST"])], lifespan=life)
uvicorn.run(app, host="127.0.0.1", port=port, http="h11", log_config=None, access_log=False)
"""


def event(number: int) -> tuple[bytes, bytes]:
    about = {
        "id": f"sub_{number % TENANTS}",
        "object": "subscription",
        "customer": f"cus_{number % TENANTS}",
    }
    body = json.dumps(
        {
            "id": f"evt_{number}",
            "object": "event",
            "created": int(time.time()),
            "livemode": False,
            "type": "customer.subscription.updated",
            "data": {"object": about},
        }
    )
    signature = stripe.WebhookSignature.generate_signature_header(body, SECRET, int(time.time()))
    return body.encode(), str(signature).encode()


def requests(port: int, events: list[tuple[bytes, bytes]]) -> list[bytes]:
    """Write whole requests beforehand: a client that builds them would be measured too."""
    return [
        b"POST /webhooks/stripe HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\n"
        b"stripe-signature: %s\r\ncontent-length: %d\r\n\r\n%s" % (port, signature, len(body), body)
        for body, signature in events
    ]


async def deliver(port: int, events: list[tuple[bytes, bytes]]) -> float:
    """Send all and return the seconds that it took; every answer must be 200."""
    left = iter(requests(port, events))

    async def one_after_another() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in left:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            await reader.readexactly(int(LENGTH.findall(head)[0]))
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    return time.perf_counter() - began


def transactions(database: psycopg.Connection) -> int:
    """Count the transactions that wrote: one that only reads is given no number."""
    row = database.execute(
        "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    ).fetchone()
    assert row is not None
    return int(row[0])


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="pulse-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with running_postgres(folder) as postgres:
            run(postgres.superuser, postgres.url("svc_billing_webhooks"), folder)


def run(superuser: str, login: str, folder: Path) -> None:
    nats = Nats(free_port(), folder / "jetstream")
    nats.start()
    stripe_port, port = free_port(), free_port()
    stand_in = subprocess.Popen([sys.executable, "-c", STAND_IN, str(stripe_port)])  # noqa: S603
    wait_for_port(stripe_port)
    service = subprocess.Popen(
        [sys.executable, "-m", "billing_webhooks"],
        env=environment(login, nats.url, stripe_port, port),
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port, 30)
        with psycopg.connect(superuser, autocommit=True) as database:
            prepare(database)
            bare = measure_bare(database, superuser, stripe_port)
            measure(database, port, service.pid, bare)
    finally:
        for process in (service, stand_in):
            process.kill()
            process.wait()
        nats.kill()


def environment(login: str, nats_url: str, stripe_port: int, port: int) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "PULSE_ENV": "development",
        "HTTP_PORT": str(port),
        "DATABASE_URL": login,
        "NATS_URL": nats_url,
        "NATS_USER": "test",
        "NATS_PASSWORD": PASSWORD,
        "STRIPE_API_KEY": "sk_test_benchmark",
        "STRIPE_API_BASE": f"http://127.0.0.1:{stripe_port}",
        "STRIPE_WEBHOOK_SECRETS": SECRET,
        "STRIPE_PRICES": "price_a=starter",
        "BILLING_SWEEP_SECONDS": "100000",
    }


def prepare(database: psycopg.Connection) -> None:
    for number in range(TENANTS):
        tenant = uuid4()
        database.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'T')", [tenant])
        database.execute(
            "INSERT INTO billing_customers (tenant_id, customer_id, livemode) VALUES (%s, %s, false)",
            [tenant, f"cus_{number}"],
        )


def cpu_seconds(pid: int) -> float:
    """Read how much of a core a process has had."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def measure_bare(database: psycopg.Connection, superuser: str, stripe_port: int) -> float:
    """Return how many events a second the bare endpoint takes."""
    database.execute("CREATE TABLE bare (event_id text PRIMARY KEY)")
    port = free_port()
    base = f"http://127.0.0.1:{stripe_port}"
    process = subprocess.Popen([sys.executable, "-c", BARE, str(port), superuser, base, SECRET])  # noqa: S603
    try:
        wait_for_port(port, 30)
        asyncio.run(deliver(port, [event(EVENTS * 2 + n) for n in range(TENANTS)]))
        return EVENTS / asyncio.run(deliver(port, [event(n) for n in range(EVENTS)]))
    finally:
        process.kill()
        process.wait()


def measure(database: psycopg.Connection, port: int, pid: int, bare: float) -> None:
    asyncio.run(
        deliver(port, [event(EVENTS * 2 + n) for n in range(TENANTS)])
    )  # every plan is bought
    had = cpu_seconds(pid)
    seconds = asyncio.run(deliver(port, [event(n) for n in range(EVENTS)]))
    rate, a_core = EVENTS / seconds, EVENTS / (cpu_seconds(pid) - had)
    print(
        f"events fetched, handled and committed: {rate:.0f}/s ({rate / WANTED_PER_SECOND:.2f} of what is wanted)"
    )
    print(f"a bare endpoint: {bare:.0f}/s, so ours is {rate / bare:.2f} of it")
    print(f"and with a core that nobody else uses, by the processor time it took: {a_core:.0f}/s")
    before = transactions(database)
    seconds = asyncio.run(deliver(port, [event(n % EVENTS) for n in range(REPEATS)]))
    wrote = transactions(database) - before
    print(
        f"repeats: {REPEATS / seconds:.0f}/s; transactions of {REPEATS} of them that wrote: {wrote}"
    )
    # The outbox's relay and sweeps of the service write beside the repeats, and a few transactions only.
    if rate < WANTED_PER_SECOND or wrote > REPEATS / 1000:
        sys.exit(1)


if __name__ == "__main__":
    main()
