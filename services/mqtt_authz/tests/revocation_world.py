"""What surrounds the revocation worker in tests: a broker in memory, messages, and rows as others leave them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mqtt_authz.broker import BrokerFailed, Session
from mqtt_authz.revocation import Revocation
from pulse_common import events
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    import psycopg
    from services.mqtt_authz.tests.conftest import Enrolled

    from pulse_common.messaging import Outcome
    from pulse_common.tenancy import Database

ORDER = ["ban", "drop_cache", "kick", "purge", "confirm"]


@dataclass
class FakeBroker:
    """A broker in memory: one session a device, a will that only a ban silences, and failures on demand."""

    calls: list[str] = field(default_factory=list)
    failing: dict[str, int] = field(default_factory=dict)
    banned: set[UUID] = field(default_factory=set)
    held: set[UUID] = field(default_factory=set)
    serials: dict[UUID, str] = field(default_factory=dict)
    stubborn: int = 0
    retained: set[str] = field(default_factory=set)
    wills_published: list[UUID] = field(default_factory=list)

    def connect(self, enrolled: Enrolled) -> None:
        self.held.add(enrolled.device)
        self.retained.add(f"tenant/{enrolled.tenant}/device/{enrolled.device}/state")

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.failing.get(name, 0):
            self.failing[name] -= 1
            raise BrokerFailed(f"{name} failed")

    async def ban(self, device: UUID, why: str) -> None:
        self._called("ban")
        self.banned.add(device)

    async def unban(self, device: UUID) -> bool:
        self._called("unban")
        was = device in self.banned
        self.banned.discard(device)
        return was

    async def drop_authorization_cache(self, device: UUID) -> None:
        self._called("drop_cache")

    async def kick(self, device: UUID) -> None:
        self._called("kick")
        if device in self.held and device not in self.banned:
            self.wills_published.append(device)
        if self.stubborn:
            self.stubborn -= 1
            return
        self.held.discard(device)

    async def kick_all(self, devices: Sequence[UUID]) -> None:
        for device in devices:
            await self.kick(device)

    async def left_of(self, devices: Sequence[UUID]) -> set[UUID]:
        self._called("confirm")
        return self.held & set(devices)

    async def purge_retained(self, topics: Sequence[str]) -> None:
        self._called("purge")
        self.retained -= set(topics)

    async def has_session(self, device: UUID) -> bool:
        self._called("confirm")
        return device in self.held

    async def sessions(self) -> AsyncIterator[list[Session]]:
        self._called("list")
        yield [Session(device, self.serials.get(device, "")) for device in sorted(self.held)]

    async def bans(self) -> AsyncIterator[list[UUID]]:
        self._called("list_bans")
        yield sorted(self.banned)


@dataclass
class Heard:
    """A message as a consumer hands it over."""

    event: events.Event | None
    deliveries: int = 1
    subject: str = ""
    data: bytes = b""

    def __post_init__(self) -> None:
        if self.event is not None:
            self.subject, self.data = self.event.subject, self.event.to_bytes()

    async def ack(self) -> None: ...
    async def retry(self, seconds: float) -> None: ...
    async def park(self, reason: str) -> None: ...


class World:
    """The database as the other services would leave it, and the worker under test."""

    def __init__(self, database: Database, superuser: psycopg.Connection) -> None:
        self.broker = FakeBroker()
        self.sql = superuser
        self.worker = Revocation(database=database, broker=self.broker, clock=system_clock)

    def revoke(self, enrolled: Enrolled) -> events.CertificateRevoked:
        row = self.sql.execute(
            "UPDATE certificates SET status = 'revoked', revoked_at = now(), revocation_reason = 'keyCompromise'"
            " WHERE certificate_id = %s RETURNING revoked_at, serial_number",
            [enrolled.certificate],
        ).fetchone()
        assert row is not None
        return events.CertificateRevoked(
            tenant_id=enrolled.tenant,
            at=row[0],
            device_id=enrolled.device,
            certificate_id=enrolled.certificate,
            serial_number=row[1],
            fingerprint_sha256="00",
            reason="keyCompromise",
            revoked_at=row[0],
        )

    def disable(self, enrolled: Enrolled) -> events.DeviceDisabled:
        self.sql.execute(
            "UPDATE devices SET status = 'disabled' WHERE device_id = %s", [enrolled.device]
        )
        return events.DeviceDisabled(
            tenant_id=enrolled.tenant, at=system_clock(), device_id=enrolled.device
        )

    def enrolled_event(self, enrolled: Enrolled) -> events.DeviceEnrolled:
        return events.DeviceEnrolled(
            tenant_id=enrolled.tenant,
            at=system_clock(),
            device_id=enrolled.device,
            certificate_id=enrolled.certificate,
            serial_number="1",
        )

    async def hear(self, event: events.Event, *, deliveries: int = 1) -> Outcome:
        self.broker.calls.clear()
        return await self.worker.handle(Heard(event, deliveries))

    def cut_at(self, enrolled: Enrolled) -> Any:  # noqa: ANN401 -- a moment or None
        row = self.sql.execute(
            "SELECT session_cut_at FROM certificates WHERE certificate_id = %s",
            [enrolled.certificate],
        ).fetchone()
        assert row is not None
        return row[0]

    def told(self, enrolled: Enrolled) -> list[dict[str, Any]]:
        rows = self.sql.execute(
            "SELECT payload FROM outbox WHERE tenant_id = %s AND subject = %s",
            [enrolled.tenant, events.SessionCut.subject],
        ).fetchall()
        return [row[0] for row in rows]

    def audited(self, enrolled: Enrolled) -> list[str]:
        rows = self.sql.execute(
            "SELECT action FROM audit_log WHERE tenant_id = %s AND service = 'svc_mqtt_authz' ORDER BY at",
            [enrolled.tenant],
        ).fetchall()
        return [row[0] for row in rows]
