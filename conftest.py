"""Fixtures for the real parts that tests share; what they give is in ``tests/parts.py``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import settings
from tests.log_grep import LogGrep
from tests.parts import PASSWORD, ROOT, Nats, Postgres, free_port, running_postgres, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVELOPMENT_PARTS = ROOT / "deploy" / "local"

__all__ = ["PASSWORD", "Nats", "Postgres", "free_port", "wait_for_port"]


# `make check` looks at fewer examples of each property than `make test`.
settings.register_profile("quick", max_examples=20)


def pytest_configure(config: pytest.Config) -> None:
    """Fail a run whose logs name who pays, with what, or how much."""
    config.pluginmanager.register(LogGrep(ROOT / ".artifacts"), "log grep")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make check` leaves to `make test`: tests that start servers of their own."""
    for item in items:
        fixtures: list[str] = getattr(item, "fixturenames", [])
        if "nats_server" in fixtures or DEVELOPMENT_PARTS in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """Yield a short path: deep temporary folders break UNIX sockets and are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="pulse-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> Iterator[Postgres]:
    """Yield one cluster for the whole run; tests keep apart by making tenants of their own."""
    with running_postgres(scratch) as cluster:
        yield cluster


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[Nats]:
    server = Nats(free_port(), tmp_path / "jetstream")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def superuser(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """Yield a connection that sees everything, for arranging and for looking behind the scenes."""
    with psycopg.connect(postgres.superuser, autocommit=True) as connection:
        yield connection
