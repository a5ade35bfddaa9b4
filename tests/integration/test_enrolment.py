"""Enrolment through the edge: one token is worth one certificate, however many ask at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.integration.world import cli

from pulse_local.seed import ACME

if TYPE_CHECKING:
    import psycopg
    from tests.integration.world import World

pytestmark = pytest.mark.integration

RACERS = 4
REFUSED = 3


def test_two_enrolments_race_for_one_token_and_one_wins(
    world: World, database: psycopg.Connection
) -> None:
    device_id = world.new_device(ACME, "Contested device")
    token = world.new_token(ACME, device_id)
    calls = [
        world.enrol_arguments(token, world.folder / f"{device_id}-{number}")
        for number in range(RACERS)
    ]

    with ThreadPoolExecutor(RACERS) as pool:
        ended = list(pool.map(lambda call: cli(*call), calls))

    assert sorted(one.returncode for one in ended) == [0] + [REFUSED] * (RACERS - 1)
    issued = database.execute(
        "SELECT count(*) FROM certificates WHERE device_id = %s", [device_id]
    ).fetchone()
    assert issued == (1,)
    certificates = list(world.folder.glob(f"{device_id}-*/certificate.pem"))
    assert len(certificates) == 1
