"""Works imports off: some hundred lines a transaction, which makes the devices and says how far it got.

A process that dies at any moment leaves whole batches behind and nothing else, so whoever goes on finds the next line
and makes no device twice.  Replicas take turns by the import's row lock; a tenant's imports by an advisory lock.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from provision_api import store
from provision_api.enrolment import require_active
from provision_api.fleet import bulk_store, import_reading, import_rows, import_store
from provision_api.fleet.import_judging import judge
from provision_api.fleet.import_reading import Line, Unreadable
from pulse_common import audit, entitlements, events, outbox
from pulse_common.errors import AppError, Forbidden, LimitReached, Unavailable
from pulse_common.identity import TenantId
from pulse_common.tenancy import UniqueViolation

if TYPE_CHECKING:
    from uuid import UUID

    from provision_api.fleet.bulk_store import NewDevice
    from provision_api.fleet.import_judging import Judged
    from provision_api.fleet.import_store import Import
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, TenantTx

log = structlog.get_logger(__name__)

BATCH = 500
LOOK_SECONDS = 1.0
MOST_CRASHES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    db: Database
    clock: Clock
    batch: int = BATCH
    _crashes: dict[UUID, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Work for ever; trouble of the database is waited out."""
        while True:
            try:
                found = await self.work_once()
            except Unavailable as error:
                log.warning("imports_wait", reason=error.message)
                found = 0
            if not found:
                await asyncio.sleep(LOOK_SECONDS)

    async def work_once(self) -> int:
        """Go one batch further with each import that runs, so that none waits for another; return how many moved."""
        async with self.db.service_connection("pulse_provision") as tx:
            running = await import_store.find_running(tx)
        moved = 0
        for row in running:
            moved += await self._step(TenantId(row["tenant_id"]), row["import_id"])
        return moved

    async def _step(self, tenant: TenantId, import_id: UUID) -> bool:
        try:
            async with self.db.tenant_connection(tenant) as tx:
                return await self._go_on(tx, import_id)
        except (LimitReached, Forbidden) as refusal:
            await self._end(tenant, import_id, "failed", refusal.message)
        except Unreadable as error:
            await self._end(tenant, import_id, "failed", str(error))
        except (
            UniqueViolation
        ):  # a claim met one of the hardware ids just now: it is known the next time
            return True
        except Unavailable:
            raise
        except Exception:
            log.exception("import_crashed", import_id=str(import_id))
            crashes = self._crashes[import_id] = self._crashes.get(import_id, 0) + 1
            if crashes >= MOST_CRASHES:
                await self._end(tenant, import_id, "failed", "something went wrong here")
        return True

    async def _go_on(self, tx: TenantTx, import_id: UUID) -> bool:
        found = await import_store.take(tx, import_id)
        if found is None:
            return False
        await require_active(tx)
        held = await entitlements.load(tx)
        held.require_writable()
        lines, columns, begin = await self._read(tx, found)
        if not lines:
            await self._finish(tx, found)
            return True
        await bulk_store.lock_imports(tx)
        judged = await judge(tx, lines)
        room = await _room(tx, len(judged.new))
        stopped = judged.upto(judged.new[room].line) if room < len(judged.new) else judged
        if stopped.new:
            await self._make(tx, found, stopped.new)
        if stopped.outcomes:
            await import_rows.keep_outcomes(tx, import_id, stopped.outcomes)
        await self._advance(tx, found, stopped, lines, columns, begin)
        if room < len(judged.new):
            reason = f"your plan includes {held.devices} devices: start again when it includes more"
            await import_store.set_state(tx, import_id, "failed", self.clock(), reason)
        return True

    async def _read(self, tx: TenantTx, found: Import) -> tuple[list[Line], list[str] | None, int]:
        data = await import_store.read_parts(tx, found.import_id, found.read_bytes)
        at, number, columns = found.read_bytes, found.line, found.columns
        if at == 0:
            mark = import_reading.without_bom(data)
            data, at = data[mark:], mark
        is_all = at + len(data) == found.received_bytes
        raw = import_reading.cut(data, self.batch + (columns is None), is_all=is_all)
        if raw and found.format == "csv" and columns is None:
            columns = import_reading.read_header(raw[0])
            at, number, raw = at + len(raw[0]), number + 1, raw[1:]
        lines = []
        begin = at
        for one in raw:
            at, number = at + len(one), number + 1
            content = import_reading.read_line(one, found.format, columns or [])
            lines.append(Line(number, at, content))
        if number > import_reading.MOST_ROWS + 1:
            raise Unreadable(f"an import may have {import_reading.MOST_ROWS} rows")
        return lines, columns, begin

    async def _make(self, tx: TenantTx, found: Import, new: list[NewDevice]) -> None:
        await bulk_store.create_devices(tx, new, found.enrolment_profile_id)
        now = self.clock()
        await audit.record_all(tx, [_act(found, one) for one in new])
        await outbox.emit_all(
            tx,
            [
                events.DeviceCreated(
                    tenant_id=tx.tenant, at=now, device_id=one.device_id, name=one.name
                )
                for one in new
            ],
            bulk=True,
        )

    async def _advance(
        self,
        tx: TenantTx,
        found: Import,
        judged: Judged,
        lines: list[Line],
        columns: list[str] | None,
        begin: int,
    ) -> None:
        done = [line for line in lines if line.number <= judged.last_line]
        read = done[-1].end if done else begin
        progress = import_store.Progress(
            read_bytes=read,
            line=done[-1].number if done else lines[0].number - 1,
            columns=columns,
            created_devices=found.created_devices + len(judged.new),
            unchanged_rows=found.unchanged_rows + judged.unchanged,
            refused_rows=found.refused_rows + judged.refused,
        )
        await import_store.advance(tx, found.import_id, progress)
        await import_store.drop_parts(tx, found.import_id, read)

    async def _finish(self, tx: TenantTx, found: Import) -> None:
        await import_store.set_state(tx, found.import_id, "done", self.clock())
        await import_store.drop_parts(tx, found.import_id, found.received_bytes)
        details = {
            "created": found.created_devices,
            "unchanged": found.unchanged_rows,
            "refused": found.refused_rows,
        }
        act = audit.Act(
            actor_kind="user",
            actor_id=found.created_by,
            action="device_import.finish",
            object_kind="device_import",
            object_id=str(found.import_id),
            details=details,
        )
        await audit.record(tx, act)
        log.info("import_finished", import_id=str(found.import_id), **details)

    async def _end(self, tenant: TenantId, import_id: UUID, state: str, reason: str) -> None:
        try:
            async with self.db.tenant_connection(tenant) as tx:
                if await import_store.take(tx, import_id) is not None:
                    await import_store.set_state(tx, import_id, state, self.clock(), reason)
        except AppError as error:
            log.warning("import_not_ended", import_id=str(import_id), reason=error.message)


async def _room(tx: TenantTx, wanted: int) -> int:
    """Return how many of ``wanted`` devices the plan has room for; racing creations wait for each other.

    Raises:
        LimitReached: none may be added at all, since a bill is unpaid.
    """
    held = await entitlements.load(tx)
    if not wanted:
        return 0
    if held.devices is None:
        held.require_new_device(0)
        return wanted
    await entitlements.lock_devices(tx)
    held = await entitlements.load(tx)
    there = await store.count_devices(tx)
    if held.access != "full" or held.devices is None:
        held.require_new_device(there)
        return wanted
    return min(wanted, max(held.devices - there, 0))


def _act(found: Import, one: NewDevice) -> audit.Act:
    return audit.Act(
        actor_kind="user",
        actor_id=found.created_by,
        action="device.create",
        object_kind="device",
        object_id=str(one.device_id),
        details={"import_id": str(found.import_id), "hardware_id": one.hardware_id},
    )
