"""How long to wait before the next attempt to connect: exponential, with full jitter."""

from __future__ import annotations

from dataclasses import dataclass

MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays in seconds. `fraction` is a random number in [0, 1), so that the rule stays a value.

    Full jitter (anywhere between nothing and the ceiling) spreads a fleet that lost its broker at
    the same moment better than a jitter around a fixed delay:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    first_seconds: float = 1.0
    most_seconds: float = 60.0

    def after_failures(self, failures: int, fraction: float) -> float:
        """Return the delay after so many failures in a row (1 or more)."""
        doublings = min(max(failures - 1, 0), MOST_DOUBLINGS)
        return float(min(self.most_seconds, self.first_seconds * 2**doublings) * fraction)

    def after_refusal(self, fraction: float) -> float:
        """Return a delay at the top: asking again soon will not change the broker's mind."""
        return self.most_seconds / 2 * (1 + fraction)
