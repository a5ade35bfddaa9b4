"""What a tenant may do under its plan: read where it is enforced, pushed to those that keep it in memory.

billing_webhooks writes; everybody else reads.  A tenant without a row has no limits: a mistake of billing must not cut
anybody off, and billing gives each new tenant its row within seconds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, LiteralString

import structlog
from pydantic import ValidationError

from pulse_common import events
from pulse_common.errors import LimitReached, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from pulse_common.bus import Bus
    from pulse_common.tenancy import Row, TenantTx, Tx

log = structlog.get_logger(__name__)

Access = Literal["full", "no_new_devices", "read_only"]
LIMITS: Final = (
    "devices",
    "messages_per_second",
    "messages_per_month",
    "retention_days",
    "routes",
    "seats",
)
FRESH_SECONDS = 4.0
"""How old an answer may be that nobody pushed away: below the 5 s within which a change must hold."""

_FIND: LiteralString = """
    SELECT tenant_id, version, plan_id, access, devices, messages_per_second, messages_per_month, retention_days,
           routes, seats, hard_limits, features
      FROM billing_entitlements
     WHERE tenant_id = %(tenant_id)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlements:
    """``version`` grows with each change; None of a limit is no limit."""

    version: int = 0
    plan: str = "unlimited"
    access: Access = "full"
    devices: int | None = None
    messages_per_second: int | None = None
    messages_per_month: int | None = None
    retention_days: int | None = None
    routes: int | None = None
    seats: int | None = None
    hard_limits: bool = False
    features: frozenset[str] = frozenset()

    def limits(self) -> dict[str, int | None]:
        return {name: getattr(self, name) for name in LIMITS}

    def require_writable(self) -> None:
        """Raise LimitReached while an unpaid bill leaves the tenant read-only."""
        if self.access == "read_only":
            raise LimitReached("an invoice is unpaid: nothing can be changed until it is paid")

    def require_room(self, name: str, used: int) -> None:
        """Raise LimitReached unless one more of ``name`` fits beside the ``used`` ones."""
        limit: int | None = getattr(self, name)
        if limit is not None and used >= limit:
            raise LimitReached(f"your plan includes {limit} {name}, and {used} are in use")

    def require_new_device(self, devices: int) -> None:
        """Raise LimitReached unless the tenant may add a device to the ``devices`` that it has."""
        self.require_writable()
        if self.access == "no_new_devices":
            raise LimitReached("an invoice is unpaid: no device can be added until it is paid")
        self.require_room("devices", devices)


UNLIMITED = Entitlements()


async def load(tx: TenantTx) -> Entitlements:
    """Read what holds for the tenant of this transaction."""
    return await load_of(tx, tx.tenant)


async def load_of(tx: Tx, tenant: UUID) -> Entitlements:
    """As ``load``, for the roles that serve all tenants."""
    row = await tx.one_or_none(_FIND, {"tenant_id": tenant})
    return UNLIMITED if row is None else _from_row(row)


async def lock_devices(tx: TenantTx) -> None:
    """Let one transaction at a time count a tenant's devices and add to them: races cannot exceed the limit."""
    await tx.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('pulse.devices.' || %(tenant)s, 0))",
        {"tenant": str(tx.tenant)},
    )


def from_event(event: events.EntitlementsChanged) -> Entitlements:
    return Entitlements(
        version=event.version,
        plan=event.plan,
        access=event.access,
        hard_limits=event.hard_limits,
        features=frozenset(event.features),
        **{name: event.limits.get(name) for name in LIMITS},
    )


def _from_row(row: Row) -> Entitlements:
    return Entitlements(
        version=row["version"],
        plan=row["plan_id"],
        access=row["access"],
        hard_limits=row["hard_limits"],
        features=frozenset(row["features"]),
        **{name: row[name] for name in LIMITS},
    )


@dataclass(slots=True)
class _Kept:
    entitlements: Entitlements
    read_at: float


@dataclass(slots=True)
class Cache:
    """Entitlements for hot paths: pushed by events, read again when old, and kept while the database is away."""

    read: Callable[[UUID], Awaitable[Entitlements]]
    monotonic: Callable[[], float] = time.monotonic
    _kept: dict[UUID, _Kept] = field(default_factory=dict)

    async def listen(self, bus: Bus) -> Callable[[], Awaitable[None]]:
        """Take changes as they are published; returns the way to stop.  What is missed is read within 4 s."""
        return await bus.subscribe_live(events.EntitlementsChanged.subject, self.on_message)

    async def on_message(self, _subject: str, data: bytes) -> None:
        try:
            event = events.EntitlementsChanged.model_validate_json(data)
        except ValidationError:
            log.warning("entitlements_event_unreadable")
            return
        self._keep(event.tenant_id, from_event(event))

    async def of(self, tenant: UUID) -> Entitlements:
        """Return what holds for ``tenant``; never raises, since no message may be lost to a billing error."""
        kept = self._kept.get(tenant)
        if kept is not None and self.monotonic() - kept.read_at < FRESH_SECONDS:
            return kept.entitlements
        try:
            found = await self.read(tenant)
        except Unavailable:
            log.warning("entitlements_not_read", tenant_id=str(tenant))
            found = UNLIMITED if kept is None else kept.entitlements
        return self._keep(tenant, found)

    def _keep(self, tenant: UUID, found: Entitlements) -> Entitlements:
        """Keep the newest version: an event may overtake a read, and a read an event."""
        kept = self._kept.get(tenant)
        newest = kept.entitlements if kept and kept.entitlements.version > found.version else found
        self._kept[tenant] = _Kept(newest, self.monotonic())
        return newest
