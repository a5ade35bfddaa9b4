"""The key cache: one fetch for many askers, and nothing forgotten while the provider is away."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx2
import pytest

from pulse_common.errors import Unavailable
from pulse_common.jwks import COOLDOWN_SECONDS, FRESH_SECONDS, LONGEST_KEY_SET, USABLE_SECONDS, Jwks
from pulse_common.testing.tokens import Issuer

pytestmark = pytest.mark.anyio

ISSUER_URL = "http://idp.test/realms/pulse"
OLD = Issuer(datetime(2026, 3, 1, tzinfo=UTC), key_id="old")
NEW = Issuer(datetime(2026, 3, 1, tzinfo=UTC), key_id="new", key=OLD.key)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(slots=True)
class Provider:
    """An identity provider whose answer and clock a test decides."""

    body: bytes = b""
    status: int = 200
    away: bool = False
    calls: list[str] = field(default_factory=list)
    seconds: float = 1000.0

    def publish(self, *issuers: Issuer) -> None:
        self.body = json.dumps({"keys": [issuer.jwk() for issuer in issuers]}).encode()

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.calls.append(str(request.url))
        await asyncio.sleep(0)
        if self.away:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(self.status, content=self.body)

    def keys(self) -> Jwks:
        return Jwks(
            oidc_internal_url=ISSUER_URL,
            http=httpx2.AsyncClient(transport=httpx2.MockTransport(self.answer)),
            monotonic=lambda: self.seconds,
        )


@pytest.fixture
def provider() -> Provider:
    provider = Provider()
    provider.publish(OLD)
    return provider


async def test_keys_come_from_the_realms_certificate_endpoint(provider: Provider) -> None:
    key = await provider.keys().find("old")

    assert key is not None
    assert key.algorithms == {"RS256"}
    assert provider.calls == ["http://idp.test/realms/pulse/protocol/openid-connect/certs"]


async def test_a_known_key_costs_no_fetch(provider: Provider) -> None:
    keys = provider.keys()

    for _ in range(100):
        assert await keys.find("old")

    assert len(provider.calls) == 1


async def test_a_flood_of_unknown_keys_makes_one_refetch(provider: Provider) -> None:
    keys = provider.keys()
    await keys.warm()
    provider.seconds += COOLDOWN_SECONDS

    found = await asyncio.gather(*(keys.find(f"unknown-{number}") for number in range(1000)))
    for number in range(1000):
        assert await keys.find(f"later-{number}") is None

    assert found == [None] * 1000
    assert len(provider.calls) == 2


async def test_a_cold_start_of_many_requests_makes_one_fetch(provider: Provider) -> None:
    keys = provider.keys()

    found = await asyncio.gather(*(keys.find("old") for _ in range(200)))

    assert None not in found
    assert len(provider.calls) == 1


async def test_a_rotated_key_is_found_and_the_old_one_stops(provider: Provider) -> None:
    keys = provider.keys()
    await keys.warm()
    provider.publish(NEW)
    provider.seconds += COOLDOWN_SECONDS

    assert await keys.find("new")
    assert await keys.find("old") is None


async def test_an_unknown_key_in_the_cool_down_is_unknown(provider: Provider) -> None:
    keys = provider.keys()
    await keys.warm()
    provider.publish(NEW)
    provider.seconds += COOLDOWN_SECONDS - 1

    assert await keys.find("new") is None
    assert len(provider.calls) == 1


async def test_keys_go_on_working_while_the_provider_is_away(provider: Provider) -> None:
    keys = provider.keys()
    await keys.warm()
    provider.away = True

    for _ in range(20):
        provider.seconds += USABLE_SECONDS / 20
        assert await keys.find("old")
        assert await keys.find("unknown") is None
    await keys.close()


async def test_keys_end_when_the_provider_is_away_too_long(provider: Provider) -> None:
    keys = provider.keys()
    await keys.warm()
    provider.away = True
    provider.seconds += USABLE_SECONDS + 1

    with pytest.raises(Unavailable):
        await keys.find("old")
    assert not keys.usable()

    provider.away = False
    provider.seconds += COOLDOWN_SECONDS
    assert await keys.find("old")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (302, b""),
        (200, b""),
        (200, b"not json"),
        (200, b'{"keys":[]}'),
        (200, b'{"keys":{}}'),
        (200, b'{"keys":[],"keys":[]}'),
        (200, b'{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"old"}]}'),
        (200, b'{"keys":[' + b" " * LONGEST_KEY_SET + b"]}"),
        (200, json.dumps({"keys": [OLD.jwk() | {"kid": f"{n}"} for n in range(65)]}).encode()),
    ],
)
async def test_a_failed_refresh_forgets_nothing(
    provider: Provider, status: int, body: bytes
) -> None:
    keys = provider.keys()
    await keys.warm()
    provider.status, provider.body = status, body
    provider.seconds += COOLDOWN_SECONDS

    assert await keys.find("unknown") is None
    assert await keys.find("old")
    assert len(provider.calls) == 2


async def test_an_old_set_is_refreshed_behind_the_request(provider: Provider) -> None:
    keys = provider.keys()
    await keys.warm()
    provider.publish(OLD, NEW)
    provider.seconds += FRESH_SECONDS + 1

    assert await keys.find("old")
    assert len(provider.calls) == 1
    await asyncio.sleep(0.05)

    assert len(provider.calls) == 2
    assert await keys.find("new")


async def test_no_keys_at_all_is_unavailable_not_refused(provider: Provider) -> None:
    provider.away = True
    keys = provider.keys()

    for _ in range(50):
        with pytest.raises(Unavailable):
            await keys.find("old")

    assert len(provider.calls) == 1


async def test_a_caller_that_leaves_does_not_cancel_the_fetch(provider: Provider) -> None:
    keys = provider.keys()
    first = asyncio.create_task(keys.find("old"))
    await asyncio.sleep(0)
    second = asyncio.create_task(keys.find("old"))
    await asyncio.sleep(0)

    first.cancel()

    assert await second
    assert len(provider.calls) == 1
