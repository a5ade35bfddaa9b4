"""What the gate remembers of good certificates, and the rules by which it may still believe it.

Only a certificate that the database stood behind is remembered; a refusal is asked for anew each time.  Four things
end a memory: an event about its device, tenant or issuer (``forget``), its age, a moment in which events could not be
heard, and room for others.

A load and an invalidation may cross.  Each invalidation has a number, and what a load found counts only if nothing
about its device, tenant or issuer was invalidated after the load began; else it is loaded again.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mqtt_authz import metrics
from mqtt_authz.loading import Found, Loading
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID

    from mqtt_authz.certificate import DeviceCertificate
    from mqtt_authz.domain import Standing

MOST_REMEMBERED = 100_000
"""About 60 MB; the least recently used goes first (benchmarks/mqtt_auth.py measures it)."""
FRESH_SECONDS = 300.0
"""However well events are heard, what is older is asked for again."""
AWAY_SECONDS = 900.0
"""How long a device that was known may come back while the database is away, from when it was last asked."""
MOST_MARKS = 10_000
_ATTEMPTS = 3
_REMEMBERED = metrics.STANDINGS.labels("remembered")


@dataclass(frozen=True, slots=True)
class Known:
    """A certificate that was good when its load began."""

    holder: DeviceCertificate
    standing: Standing
    began: int
    loaded_at: float


class Standings:
    """One for a process.  ``hearing`` names the present unbroken stretch of hearing events; None for deafness."""

    def __init__(
        self,
        *,
        load: Callable[[Sequence[bytes]], Awaitable[dict[bytes, Standing]]],
        hearing: Callable[[], int | None],
        monotonic: Callable[[], float] = time.monotonic,
        most: int = MOST_REMEMBERED,
    ) -> None:
        self._hearing = hearing
        self._monotonic = monotonic
        self._most = most
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._heard: int | None = None
        self._generation = 0
        self._marks: dict[UUID, int] = {}
        self._issuers: dict[UUID, UUID] = {}
        self._all_marked = 0
        self._loading = Loading(load=load, began=lambda: self._generation, monotonic=monotonic)

    def __len__(self) -> int:
        return len(self._known)

    def forget(self, id_: UUID) -> None:
        """Stop believing what is known, or being loaded, of a device, a tenant or an issuer."""
        if len(self._marks) >= MOST_MARKS:
            self.forget_all()
        self._generation += 1
        self._marks[id_] = self._generation

    def forget_all(self) -> None:
        self._generation += 1
        self._all_marked = self._generation
        self._marks.clear()
        self._known.clear()

    def recall(self, fingerprint: bytes) -> Known | None:
        """Return a memory that may be believed without asking."""
        known = self._credible(fingerprint)
        if known is None or known.loaded_at + FRESH_SECONDS <= self._monotonic():
            return None
        self._known.move_to_end(fingerprint)
        _REMEMBERED.inc()
        return known

    async def find(self, holder: DeviceCertificate) -> Standing | None:
        """Ask the database, together with whoever else asks now; remember a good answer.

        Raises:
            Unavailable: the database is away, and nothing recent enough is known of this certificate.
        """
        fingerprint = holder.fingerprint
        try:
            for _ in range(_ATTEMPTS):
                found = await self._loading.ask(fingerprint)
                if self._counts(holder, found):
                    self._remember(holder, found)
                    return found.standing
        except Unavailable:
            known = self._credible(fingerprint)
            if known is None or known.loaded_at + AWAY_SECONDS <= self._monotonic():
                raise
            metrics.STANDINGS.labels("database_away").inc()
            return known.standing
        raise Unavailable("the device changes faster than it can be looked up")

    def _credible(self, fingerprint: bytes) -> Known | None:
        hearing = self._hearing()
        if hearing != self._heard:
            # Something may have been said that nobody here heard.
            self.forget_all()
            self._heard = hearing
        known = self._known.get(fingerprint)
        if known is None:
            return None
        if not self._counts(known.holder, Found(known.standing, known.began)):
            del self._known[fingerprint]
            return None
        return known

    def _counts(self, holder: DeviceCertificate, found: Found) -> bool:
        """Whether nothing that it rests on was invalidated since its load began."""
        newest = max(
            self._all_marked,
            self._marks.get(holder.device, 0),
            self._marks.get(holder.tenant, 0),
            self._marks.get(found.standing.issuer, 0) if found.standing else 0,
        )
        return newest <= found.began

    def _remember(self, holder: DeviceCertificate, found: Found) -> None:
        fingerprint, standing = holder.fingerprint, found.standing
        hearing = self._hearing()
        deaf = hearing is None or hearing != self._heard
        if deaf or standing is None or not standing.good_for(holder.tenant, holder.device):
            self._known.pop(fingerprint, None)
            return
        # One UUID object for each name, and one for each issuer of many.
        issuer = self._issuers.setdefault(standing.issuer, standing.issuer)
        standing = replace(standing, tenant=holder.tenant, device=holder.device, issuer=issuer)
        self._known[fingerprint] = Known(holder, standing, found.began, self._monotonic())
        self._known.move_to_end(fingerprint)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        metrics.STANDINGS_KNOWN.set(len(self._known))
