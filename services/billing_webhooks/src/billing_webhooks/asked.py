"""When Stripe was last asked for a subscription: one purchase makes many events, which one answer is enough for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

MOST_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Asked:
    """Of the answers that are committed.  Times are of ``time.monotonic``."""

    _at: dict[tuple[UUID, str], float] = field(default_factory=dict)

    def since(self, arrived_at: float, tenant: UUID, subscription_id: str | None) -> bool:
        """Whether what an event tells of is stored already: Stripe was asked after the event had come."""
        return (
            subscription_id is not None
            and self._at.get((tenant, subscription_id), 0.0) > arrived_at
        )

    def note(self, asked_at: float, tenant: UUID, subscription_id: str | None) -> None:
        if subscription_id is None:
            return
        if len(self._at) >= MOST_REMEMBERED:
            self._at.clear()
        self._at[tenant, subscription_id] = asked_at
