"""The shared secret: compared as bytes, the previous one still good, each use counted."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY
from starlette.requests import Request

from mqtt_authz.secrets import BROKER, SharedSecret
from pulse_common.errors import Unauthenticated

pytestmark = pytest.mark.anyio

CURRENT = b"the-current-secret-of-enough-length-1234"
PREVIOUS = b"the-previous-secret-of-enough-length-123"


def request(*headers: bytes) -> Request:
    return Request({"type": "http", "headers": [(b"authorization", value) for value in headers]})


def counted(which: str) -> float:
    return REGISTRY.get_sample_value("pulse_mqtt_auth_secret_total", {"secret": which}) or 0.0


@pytest.mark.parametrize(
    ("shown", "which"), [(CURRENT, "current"), (PREVIOUS, "previous")], ids=["current", "previous"]
)
async def test_broker_is_known_by_either_secret_and_counted(shown: bytes, which: str) -> None:
    before = counted(which)

    principal = await SharedSecret(current=CURRENT, previous=PREVIOUS).authenticate(
        request(b"Bearer " + shown)
    )

    assert principal.roles == {BROKER}
    assert counted(which) == before + 1


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [b""],
        [b"Bearer"],
        [b"Bearer "],
        [CURRENT],
        [b"Basic " + CURRENT],
        [b"Bearer " + CURRENT + b"x"],
        [b"Bearer " + CURRENT[:-1]],
        [b"Bearer " + CURRENT.upper()],
        [b"Bearer \xe9\xff\x80"],
        [b"Bearer " + "é".encode() * 40],
        [b"Bearer wrong", b"Bearer " + CURRENT],
    ],
    ids=range(12),
)
async def test_anything_else_is_refused_and_counted(headers: list[bytes]) -> None:
    before = counted("wrong")

    with pytest.raises(Unauthenticated):
        await SharedSecret(current=CURRENT, previous=PREVIOUS).authenticate(request(*headers))

    assert counted("wrong") == before + 1


async def test_without_a_previous_secret_only_the_current_one_counts() -> None:
    with pytest.raises(Unauthenticated):
        await SharedSecret(current=CURRENT, previous=None).authenticate(
            request(b"Bearer " + PREVIOUS)
        )


async def test_secret_beyond_ascii_works() -> None:
    secret = "naïve-sécret-of-more-than-32-characters".encode()

    principal = await SharedSecret(current=secret, previous=None).authenticate(
        request(b"Bearer " + secret)
    )

    assert principal.roles == {BROKER}
