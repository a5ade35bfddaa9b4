"""How many archives one replica makes at a time: one a tenant, and few altogether, since packing costs a processor."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pulse_common.errors import Conflict, TooMany

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

MOST_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class ArchiveSeats:
    _taken: list[UUID] = field(default_factory=list)

    def require_free(self, tenant: UUID) -> None:
        """Refuse before the first byte.

        Raises:
            Conflict, TooMany: the tenant's archive is being made already, or as many as may be.
        """
        if tenant in self._taken:
            raise Conflict("an archive of this tenant is being made already")
        if len(self._taken) >= MOST_AT_ONCE:
            raise TooMany("too many archives are being made; try again in some minutes")

    @contextmanager
    def take(self, tenant: UUID) -> Iterator[None]:
        """Hold a seat for as long as the bytes go out: a request that never came so far must not keep one."""
        self._taken.append(tenant)
        try:
            yield
        finally:
            self._taken.remove(tenant)
