"""Fixtures for the real parts that tests share; what they give is in ``tests/parts.py``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.parts import PASSWORD, Nats, Postgres, free_port, running_postgres, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PASSWORD", "Nats", "Postgres", "free_port", "wait_for_port"]


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
