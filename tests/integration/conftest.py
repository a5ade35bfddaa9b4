"""One stack for all integration tests, beside whatever else runs; its people, and two devices of two tenants."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.integration.billed import Billed, billed_stack
from tests.integration.people import ALICE, MALLORY, Person, sign_in
from tests.integration.world import Device, World
from tests.parts import ROOT

from pulse_local.seed import ACME, GLOBEX, seed_tenants
from pulse_local.throwaway import throwaway_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pulse_local.stack import Stack


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """What is worth a look after a run, whether it passed or not."""
    folder = ROOT / ".artifacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def stack(artifacts: Path) -> Iterator[Stack]:
    # A run that is told to end (a time-out, a cancelled job) stops its stack as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with throwaway_stack(logs=artifacts / "logs") as running:
        seed_tenants(running)
        yield running


@pytest.fixture(scope="session")
def billed(artifacts: Path) -> Iterator[Billed]:
    """Start a second stack, one that bills."""
    with billed_stack(artifacts) as running:
        yield running


@pytest.fixture(scope="session")
def world(stack: Stack) -> World:
    return World(stack=stack, folder=stack.data / "devices-of-tests")


@pytest.fixture(scope="session")
def alice(stack: Stack) -> Iterator[Person]:
    """Sign in tenant A's administrator."""
    person = sign_in(stack.environments, ALICE)
    yield person
    person.close()


@pytest.fixture(scope="session")
def mallory(stack: Stack) -> Iterator[Person]:
    """Sign in tenant B's administrator."""
    person = sign_in(stack.environments, MALLORY)
    yield person
    person.close()


@pytest.fixture(scope="session")
def device_a(world: World) -> Device:
    return world.enrol(ACME, "Reactor of Acme")


@pytest.fixture(scope="session")
def device_b(world: World) -> Device:
    return world.enrol(GLOBEX, "Toaster of Globex")


@pytest.fixture
def database(world: World) -> Iterator[psycopg.Connection]:
    """Yield a connection that sees everything, for looking behind the scenes."""
    with psycopg.connect(world.superuser, autocommit=True) as connection:
        yield connection
