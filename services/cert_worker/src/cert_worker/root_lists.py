"""Take over the roots' own lists from files in CA_DIRECTORY, never a worse one; serve them, and watch their end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from cert_worker import measures, root_list, store_root_list
from cert_worker.ca import CaRefused
from pulse_common import audit
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from cert_worker.authority import Authorities
    from cert_worker.domain import Issuer
    from cert_worker.root_list import RootList
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

EVERY_SECONDS = 30.0
WARNED_BEFORE = timedelta(days=30)
"""A person has to go to where the root is: that takes its time."""


class RootLists:
    """Call ``follow`` once before serving, then keep ``run`` running."""

    def __init__(
        self, *, database: Database, authorities: Authorities, directory: Path, clock: Clock
    ) -> None:
        self._database = database
        self._authorities = authorities
        self._directory = directory
        self._clock = clock
        self._lists: dict[UUID, RootList] = {}
        self._refused: set[tuple[UUID, str]] = set()

    def current(self, issuer_id: UUID) -> RootList | None:
        return self._lists.get(issuer_id)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.follow()
            except Unavailable as error:
                log.warning("root_lists_wait", reason=error.message)

    async def follow(self) -> None:
        """Take over what was put here or by another replica, and say when an end comes near.

        Raises:
            Unavailable: the database is away.
        """
        async with self._database.service_connection("pulse_ca") as tx:
            stored = await store_root_list.load_lists(tx)
        for root in self._authorities.roots:
            if (content := stored.get(root.issuer_id)) is not None:
                self._lists[root.issuer_id] = root_list.read(content, root.certificate)
            await self._take_file(root)
            self._measure(root)

    async def _take_file(self, root: Issuer) -> None:
        path = file_of(self._directory, root.issuer_id)
        if not path.exists():
            return
        try:
            found = root_list.read(await asyncio.to_thread(path.read_bytes), root.certificate)
            served = self._lists.get(root.issuer_id)
            if served is None or served.der != found.der:
                await self.take(root, found)
        except (CaRefused, OSError) as error:
            # Said once for each file and reason, though it is looked at again and again.
            if (root.issuer_id, str(error)) not in self._refused:
                self._refused.add((root.issuer_id, str(error)))
                measures.CRL_REFUSED.inc()
                log.exception("root_list_refused", root=str(root.issuer_id), reason=str(error))

    async def take(self, root: Issuer, found: RootList) -> None:
        """Serve a list from now on, on every replica.

        Raises:
            CaRefused: it is worse than the one before.
        """
        platform = TenantId(PLATFORM_TENANT)
        now = self._clock()
        async with self._database.service_tenant_connection("pulse_ca", platform) as tx:
            content = await store_root_list.lock_list(tx, root.issuer_id)
            before = None if content is None else root_list.read(content, root.certificate)
            if before is None or before.der != found.der:
                expired = self._expired(now)
                refusal = root_list.refusal_to_follow(found, before, expired=expired, now=now)
                if refusal:
                    raise CaRefused(f"the root's list is not taken: {refusal}")
                await store_root_list.save_list(tx, root.issuer_id, found, now)
                act = audit.Act(
                    actor_kind="service",
                    actor_id="cert_worker",
                    action="crl.publish",
                    object_kind="issuer",
                    object_id=str(root.issuer_id),
                    details={"number": found.number, "revoked": len(found.serials)},
                )
                await audit.record(tx, act)
        self._lists[root.issuer_id] = found
        log.info("root_list_taken", root=str(root.issuer_id), number=found.number)

    def _expired(self, now: datetime) -> list[int]:
        return [
            one.certificate.serial_number
            for one in self._authorities.issuing
            if one.certificate.not_valid_after_utc <= now
        ]

    def _measure(self, root: Issuer) -> None:
        found = self._lists.get(root.issuer_id)
        if found is None:
            return
        until = found.next_update
        measures.ROOT_LIST_NEXT_UPDATE.labels(str(root.issuer_id)).set(until.timestamp())
        if until - self._clock() <= WARNED_BEFORE:
            log.warning("root_list_ends", root=str(root.issuer_id), next_update=until.isoformat())
        told = {one.certificate.serial_number for one in self._authorities.issuing} & found.serials
        untold = [
            one
            for one in self._authorities.issuing
            if one.status == "revoked" and one.certificate.serial_number not in told
        ]
        measures.ROOT_LIST_MISSING.set(len(untold))


def file_of(directory: Path, root_id: UUID) -> Path:
    return directory / f"{root_id}.crl"
