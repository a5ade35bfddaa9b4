"""A stack for tests: own folder, own ports, gone afterwards; its logs are kept for whoever asks why."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pulse_local.ports import find_free_base
from pulse_local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def throwaway_stack(
    *, logs: Path, overrides: Mapping[str, Mapping[str, str]] | None = None
) -> Iterator[Stack]:
    """Start a stack beside whatever else runs, stop it at the end and copy its logs to `logs`.

    `overrides` adds to the environment of services, by service and variable. The folder is not pytest's `tmp_path`,
    which other users (PostgreSQL's, when the tests run as root) cannot pass through.
    """
    folder = Path(tempfile.mkdtemp(prefix="pulse-"))
    stack = Stack(folder / "data", find_free_base(), overrides=overrides)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        if stack.logs.exists():
            shutil.copytree(stack.logs, logs, dirs_exist_ok=True)
        shutil.rmtree(folder)
