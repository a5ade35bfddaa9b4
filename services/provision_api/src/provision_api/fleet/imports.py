"""Use cases of those who import: begin, send the next bytes, start, cancel, and take the enrolment tokens, once."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from provision_api import domain
from provision_api.fleet import import_reading, import_rows, import_store
from provision_api.fleet.profiles import require_writable
from pulse_common import audit
from pulse_common import events_fleet as calls
from pulse_common.errors import Conflict, Malformed, NotFound, TooLarge
from pulse_common.ids import new_id
from pulse_common.tenancy import ForeignKeyViolation

if TYPE_CHECKING:
    from uuid import UUID

    from provision_api.administrators import Administrators
    from provision_api.enrolment import Caller
    from provision_api.fleet.import_store import Import
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, TenantTx

MOST_OPEN = 5
ABANDONED = timedelta(hours=24)
TOKENS_A_CALL = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Imports:
    db: Database
    clock: Clock
    administrators: Administrators
    tokens_a_call: int = TOKENS_A_CALL

    async def create(self, request: calls.CreateImportRequest) -> calls.ImportReply:
        """Begin an import; asked again with its id, say how far it got.

        Raises:
            NotFound: the tenant has no such enrolment profile.
            Conflict: too many imports are under way.
            Forbidden, LimitReached: the tenant is suspended, or read-only.
        """
        tenant, caller = await self.administrators.of(request)
        values: dict[str, object] = {
            "import_id": request.import_id,
            "format": request.format,
            "enrolment_profile_id": request.enrolment_profile_id,
            "with_tokens": request.with_tokens,
            "created_by": caller.id,
        }
        try:
            async with self.db.tenant_connection(tenant) as tx:
                await require_writable(tx)
                await import_store.drop_abandoned(tx, self.clock() - ABANDONED)
                there = await import_store.lock(tx, request.import_id)
                if there is not None:
                    return _reply(there)
                if await import_store.count_open(tx) >= MOST_OPEN:
                    raise Conflict(f"{MOST_OPEN} imports are under way: finish or cancel one")
                await import_store.create(tx, values)
                await audit.record(tx, _act(caller, "device_import.create", request.import_id))
        except ForeignKeyViolation:
            raise NotFound("no such enrolment profile") from None
        return calls.ImportReply(import_id=request.import_id, state="uploading", received_bytes=0)

    async def send(self, request: calls.SendImportPartRequest) -> calls.ImportReply:
        """Keep the next bytes; what was sent before is left as it is, so that sending again is harmless.

        Raises:
            NotFound: the tenant has no such import.
            Conflict: it takes no more bytes, or some are missing before these; says how many are there.
            Malformed, TooLarge: the bytes can't be read, or are too many.
        """
        tenant, _ = await self.administrators.of(request)
        data = _decoded(request.data_base64)
        async with self.db.tenant_connection(tenant) as tx:
            found = await _find(tx, request.import_id)
            if found.state != "uploading":
                raise Conflict("the import takes no more bytes")
            if not 0 <= request.at_byte <= found.received_bytes:
                raise Conflict(f"{found.received_bytes} bytes are here: go on from there")
            fresh = data[found.received_bytes - request.at_byte :]
            received = found.received_bytes + len(fresh)
            if received > import_reading.LARGEST_BYTES:
                raise TooLarge(f"an import may have {import_reading.LARGEST_BYTES} bytes")
            if fresh:
                await import_store.keep_part(tx, found.import_id, found.received_bytes, fresh)
        return calls.ImportReply(
            import_id=found.import_id, state=found.state, received_bytes=received
        )

    async def act(self, request: calls.ActOnImportRequest) -> calls.ImportReply:
        """Start an import whose bytes are all here (or that had to stop), or cancel it; devices that are made stay.

        Raises:
            NotFound: the tenant has no such import.
            Conflict: it is past that.
            Forbidden, LimitReached: the tenant is suspended, or read-only.
        """
        tenant, caller = await self.administrators.of(request)
        async with self.db.tenant_connection(tenant) as tx:
            found = await _find(tx, request.import_id)
            if request.act == "start":
                await require_writable(tx)
                if found.state not in {"uploading", "failed"} or not found.received_bytes:
                    raise Conflict("the import has nothing to read, or began already")
                await import_store.set_state(tx, found.import_id, "running", self.clock())
                state = "running"
            else:
                if found.state in {"done", "cancelled"}:
                    raise Conflict("the import is over")
                await import_store.set_state(tx, found.import_id, "cancelled", self.clock())
                await import_store.drop_parts(tx, found.import_id, found.received_bytes)
                await audit.record(tx, _act(caller, "device_import.cancel", found.import_id))
                state = "cancelled"
        return calls.ImportReply(
            import_id=found.import_id, state=state, received_bytes=found.received_bytes
        )

    async def tokens(self, request: calls.ImportTokensRequest) -> calls.ImportTokensReply:
        """Mint tokens for the next devices of an import; only their hashes are kept.

        The first call begins a download, the one that says there are no more ends it, and then there is no other.  A
        download that broke off may begin anew: the tokens of the broken one end.

        Raises:
            NotFound: the tenant has no such import.
            Conflict: it was not to have tokens, is not over, or they were taken.
            Forbidden, LimitReached: the tenant is suspended, or read-only.
        """
        tenant, caller = await self.administrators.of(request)
        async with self.db.tenant_connection(tenant) as tx:
            await require_writable(tx)
            found = await _find(tx, request.import_id)
            _refuse_tokens(found, request.after_line)
            now = self.clock()
            begun_at = found.tokens_begun_at
            if request.after_line == 0:
                if begun_at is not None:
                    await import_rows.end_tokens(tx, found.import_id, begun_at, now)
                begun_at = now
                await audit.record(tx, _act(caller, "device_import.tokens", found.import_id))
            rows = await import_rows.devices_after(
                tx, found.import_id, request.after_line, self.tokens_a_call
            )
            expires_at = now + domain.LONGEST_LIFETIME
            made = [
                domain.make_token(tenant, secrets.token_bytes(domain.SECRET_BYTES)) for _ in rows
            ]
            values: dict[str, object] = {
                "token_ids": [new_id() for _ in rows],
                "hashes": [token.digest for token in made],
                "expires_at": expires_at,
                "created_by": caller.id,
                "now": now,
            }
            if rows:
                await import_rows.create_tokens(tx, [row["device_id"] for row in rows], values)
            more = len(rows) == self.tokens_a_call
            await import_store.mark_tokens(
                tx, found.import_id, begun_at=begun_at, taken_at=None if more else now
            )
        shown = [
            calls.ImportToken(token=token.text, expires_at=expires_at, **row)
            for token, row in zip(made, rows, strict=True)
        ]
        return calls.ImportTokensReply(tokens=shown, more=more)


def _refuse_tokens(found: Import, after_line: int) -> None:
    if not found.with_tokens:
        raise Conflict("the import was not to have enrolment tokens")
    if found.state not in {"done", "failed", "cancelled"}:
        raise Conflict("the import is not over")
    if found.tokens_taken_at is not None:
        raise Conflict("the enrolment tokens were taken: they are shown once")
    if after_line > 0 and found.tokens_begun_at is None:
        raise Conflict("begin with the first line")


async def _find(tx: TenantTx, import_id: UUID) -> Import:
    found = await import_store.lock(tx, import_id)
    if found is None:
        raise NotFound("no such import")
    return found


def _reply(found: Import) -> calls.ImportReply:
    return calls.ImportReply(
        import_id=found.import_id, state=found.state, received_bytes=found.received_bytes
    )


def _decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("the bytes are not base64") from None
    if len(data) > calls.LARGEST_PART_BYTES:
        raise TooLarge(f"one part may have {calls.LARGEST_PART_BYTES} bytes")
    return data


def _act(caller: Caller, action: audit.Action, import_id: UUID) -> audit.Act:
    return audit.Act(
        actor_kind=caller.kind,
        actor_id=caller.id,
        action=action,
        object_kind="device_import",
        object_id=str(import_id),
        request_id=caller.request_id,
    )
