"""What the embedded stack's tests share: a folder that PostgreSQL's own user can pass through."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pulse_local.ports import find_free_base, ports_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulse_local.ports import Ports


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: its parent belongs to pytest, which closes it to other users again and again.
    path = Path(tempfile.mkdtemp(prefix="pulse-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def ports() -> Ports:
    return ports_from(find_free_base())


@pytest.fixture
def repository() -> Path:
    return Path(__file__).resolve().parents[3]
