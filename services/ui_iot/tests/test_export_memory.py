"""An export is made page by page: what it takes of memory does not grow with what it holds."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from services.ui_iot.tests.rig import PUBLIC_URL

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any
    from uuid import UUID

    from services.ui_iot.tests.rig import Browser, Rig

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(180)]
FEW, MANY = 60_000, 300_000
MOST_MORE_MIB = 24.0


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
async def test_a_huge_export_takes_no_more_memory_than_a_small_one(
    rig: Rig, acme: UUID, alice: Browser, kind: str
) -> None:
    small, large = rig.device(acme), rig.device(acme)
    _fill(rig, acme, small, FEW)
    _fill(rig, acme, large, MANY)

    of_small = await _export(rig, alice, f"/api/v2/devices/{small}/readings/export", kind)
    of_large = await _export(rig, alice, f"/api/v2/devices/{large}/readings/export", kind)

    assert of_large.sent > 4 * of_small.sent
    assert of_large.most_mib - of_small.most_mib < MOST_MORE_MIB


def _fill(rig: Rig, tenant: UUID, device: UUID, rows: int) -> None:
    rig.superuser.execute(
        "INSERT INTO telemetry (tenant_id, device_id, ts, message_id, metrics, received_at)"
        " SELECT %s, %s, %s - n * interval '1 ms', gen_random_uuid(),"
        " jsonb_build_object('a', random(), 'b', n, 'c', random(), 'd', true), now()"
        " FROM generate_series(1, %s) n",
        [tenant, device, rig.now, rows],
    )


class _Taken:
    """An ASGI client that looks at each part and keeps none."""

    def __init__(self) -> None:
        self._asked = False
        self.status = 0
        self.sent = 0
        self.most_mib = 0.0

    async def receive(self) -> MutableMapping[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        never: asyncio.Future[MutableMapping[str, Any]] = asyncio.get_running_loop().create_future()
        return await never

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.status = message.get("status", self.status)
        self.sent += len(message.get("body", b""))
        self.most_mib = max(self.most_mib, _held_mib())


async def _export(rig: Rig, person: Browser, path: str, kind: str) -> _Taken:
    cookie = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
    host = urlsplit(PUBLIC_URL).netloc
    taken = _Taken()
    gc.collect()
    await rig.app(
        {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": f"format={kind}".encode(),
            "headers": [(b"host", host.encode()), (b"cookie", cookie.encode())],
            "client": ("127.0.0.1", 1),
            "server": (host, 443),
        },
        taken.receive,
        taken.send,
    )
    assert taken.status == 200
    return taken


def _held_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
