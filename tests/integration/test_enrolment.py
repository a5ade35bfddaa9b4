"""Enrolment through the edge: one token is worth one certificate, however many ask at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.integration.people import edge_client
from tests.integration.world import cli

from pulse_device.keys import certificate_request_pem
from pulse_local.seed import ACME

if TYPE_CHECKING:
    import psycopg
    from tests.integration.world import World

    from pulse_local.stack import Stack

pytestmark = pytest.mark.integration

RACERS = 6
ROUNDS = 3
REFUSED = 3


def _enrol_when_all_are_ready(stack: Stack, token: str, start: Barrier) -> int:
    body = {"token": token, "csr": certificate_request_pem(ec.generate_private_key(ec.SECP256R1()))}
    with edge_client(stack.environments) as client:
        # The connection is made and the key is there: what follows is nothing but the request.
        client.get("/api/v1/provision/enroll")
        start.wait(timeout=20)
        return client.post("/api/v1/provision/enroll", json=body).status_code


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_enrolments_race_for_one_token_and_one_wins(
    world: World, database: psycopg.Connection, round_number: int
) -> None:
    device_id = world.new_device(ACME, f"Contested device {round_number}")
    token = world.new_token(ACME, device_id)
    start = Barrier(RACERS)

    with ThreadPoolExecutor(RACERS) as pool:
        racing = [
            pool.submit(_enrol_when_all_are_ready, world.stack, token, start) for _ in range(RACERS)
        ]
        statuses = sorted(one.result() for one in racing)

    assert statuses == [201] + [401] * (RACERS - 1)
    query = "SELECT count(*) FROM certificates WHERE device_id = %s"
    assert database.execute(query, [device_id]).fetchone() == (1,)


def test_used_token_is_refused_and_leaves_no_identity(world: World) -> None:
    device_id = world.new_device(ACME, "Enrolled once")
    token = world.new_token(ACME, device_id)
    first, second = (world.folder / f"{device_id}-{number}" for number in (1, 2))

    ended = [cli(*world.enrol_arguments(token, folder)).returncode for folder in (first, second)]

    assert ended == [0, REFUSED]
    assert (first / "certificate.pem").exists()
    assert not (second / "certificate.pem").exists()
