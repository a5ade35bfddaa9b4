"""What profiles ask of readings: JSON Schemas, compiled once and kept, with what device has which profile.

A tenant without any costs one query a minute.  Changes are pushed; while the database is away what is known holds, and
what is not known asks nothing: no message waits for it for long, and none is lost.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from ingest_worker import metrics, schema_store
from pulse_common.errors import Malformed, Unavailable
from pulse_common.events_profiles import DeviceProfileChanged
from pulse_common.telemetry_schema import compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from jsonschema_rs import Draft202012Validator

    from pulse_common.bus import Bus
    from pulse_common.events import Reading
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

FRESH_SECONDS = 60.0
WAIT_SECONDS = 2.0
MOST_DEVICES = 100_000
LONGEST_DETAIL = 300
_LONG_AGO = float("-inf")


@dataclass(slots=True)
class _Tenant:
    read_at: float
    schemas: Mapping[UUID, Draft202012Validator]


@dataclass(slots=True)
class Schemas:
    database: Database
    monotonic: Callable[[], float] = time.monotonic
    _tenants: dict[UUID, _Tenant] = field(default_factory=dict)
    _profiles: dict[tuple[UUID, UUID], tuple[float, UUID | None]] = field(default_factory=dict)
    _reading: dict[UUID, asyncio.Lock] = field(default_factory=dict)
    _pushed: int = 0

    async def listen(self, bus: Bus) -> None:
        await bus.subscribe_live(DeviceProfileChanged.subject, self.on_message)

    async def on_message(self, _subject: str, data: bytes) -> None:
        try:
            event = DeviceProfileChanged.model_validate_json(data)
        except ValidationError:
            log.warning("profile_event_unreadable")
            return
        self._pushed += 1
        if event.device_id is not None:
            self._profiles.pop((event.tenant_id, event.device_id), None)
        elif event.tenant_id in self._tenants:
            self._tenants[event.tenant_id].read_at = _LONG_AGO

    async def wrong(self, readings: Sequence[Reading]) -> str | None:
        """Say where and why one of a device's readings is not what its profile asks for; None: all is well."""
        validator = await self._of(readings[0].tenant_id, readings[0].device_id)
        if validator is None:
            return None
        for reading in readings:
            if not validator.is_valid(reading.metrics):
                error = next(validator.iter_errors(reading.metrics))
                path = "".join(f"/{part}" for part in ["metrics", *error.instance_path])
                return f"{path}: {error.message}"[:LONGEST_DETAIL]
        return None

    async def _of(self, tenant: UUID, device: UUID) -> Draft202012Validator | None:
        schemas = self._tenants.get(tenant)
        if schemas is None or self.monotonic() - schemas.read_at >= FRESH_SECONDS:
            schemas = await self._read_tenant(tenant)
        if not schemas.schemas:
            return None
        profile = await self._profile_of(tenant, device)
        return None if profile is None else schemas.schemas.get(profile)

    async def _read_tenant(self, tenant: UUID) -> _Tenant:
        """Read a tenant's schemas, once for all that wait for them; what was known stays when that fails."""
        async with self._reading.setdefault(tenant, asyncio.Lock()):
            known = self._tenants.get(tenant, _Tenant(_LONG_AGO, {}))
            if self.monotonic() - known.read_at < FRESH_SECONDS:
                return known
            pushed, schemas = self._pushed, known.schemas
            try:
                async with (
                    asyncio.timeout(WAIT_SECONDS),
                    self.database.service_connection("pulse_ingest") as tx,
                ):
                    rows = await schema_store.list_schemas(tx, tenant)
                schemas = {profile: made for profile, made in map(_made, rows) if made}
            except (Unavailable, TimeoutError):
                log.warning("schemas_not_read", tenant_id=str(tenant))
            self._tenants[tenant] = _Tenant(self._read_at(pushed), schemas)
            return self._tenants[tenant]

    async def _profile_of(self, tenant: UUID, device: UUID) -> UUID | None:
        read_at, profile = self._profiles.get((tenant, device), (_LONG_AGO, None))
        if self.monotonic() - read_at < FRESH_SECONDS:
            return profile
        if len(self._profiles) >= MOST_DEVICES:
            self._profiles.clear()
        pushed = self._pushed
        try:
            async with (
                asyncio.timeout(WAIT_SECONDS),
                self.database.service_connection("pulse_ingest") as tx,
            ):
                profile = await schema_store.find_profile(tx, tenant, device)
        except (Unavailable, TimeoutError):
            log.warning("profile_not_read", device_id=str(device))
        self._profiles[tenant, device] = (self._read_at(pushed), profile)
        return profile

    def _read_at(self, pushed: int) -> float:
        """What was read while a change came may be old already: it is good for once."""
        return self.monotonic() if pushed == self._pushed else _LONG_AGO


def _made(row: schema_store.Asked) -> tuple[UUID, Draft202012Validator | None]:
    try:
        return row.profile_id, compiled(row.schema)
    except Malformed as error:
        # It was taken by the same rules; a release that tightened them must not refuse readings.
        metrics.SCHEMAS_BROKEN.inc()
        log.warning("schema_not_compiled", profile_id=str(row.profile_id), reason=error.message)
        return row.profile_id, None
