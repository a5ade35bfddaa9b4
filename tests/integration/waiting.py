"""Waiting for what happens elsewhere: ask again and again, and say what was waited for when it never comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_ASK_EVERY_SECONDS = 0.05


def eventually(find: Callable[[], T | None], what: str, seconds: float = 30.0) -> T:
    """Return the first answer of `find` that is neither None nor False; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = find()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(_ASK_EVERY_SECONDS)
