"""How long to wait before trying again."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 5.0


def delay_seconds(attempt: int) -> float:
    """Double with each attempt (from 0) up to 5 s; spread, so that replicas do not march in step."""
    full: float = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(attempt, 10))
    return full * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter, not a secret
