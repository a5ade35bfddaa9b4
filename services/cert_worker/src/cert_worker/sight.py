"""How far a roll-over is, and what its next step waits for, as the database and the world say now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256

from cert_worker import rollover as rules
from cert_worker import store_rollover
from cert_worker.rollover import Seen
from pulse_common import events_rollover as wire
from pulse_common.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from cert_worker.authority import Authorities
    from cert_worker.domain import Issuer
    from cert_worker.profile import DeviceProfile
    from cert_worker.proofs import Proofs
    from cert_worker.rollover import Fleet, Rollover
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, Tx

MOST_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    database: Database
    authorities: Authorities
    profiles: Mapping[str, DeviceProfile]
    proofs: Proofs
    clock: Clock

    async def overview(self, _: wire.RolloversRequest) -> wire.RolloversReply:
        await self.authorities.refresh()
        async with self.database.service_connection("pulse_ca") as tx:
            found = await store_rollover.list_rollovers(tx, MOST_SHOWN)
        return wire.RolloversReply(
            issuers=tuple(issuer_seen(one) for one in self.authorities.issuing),
            rollovers=tuple([await self.see(one) for one in found if one.profile in self.profiles]),
        )

    async def see(self, rollover: Rollover) -> wire.RolloverSeen:
        new = self.issuer(rollover.new_issuer_id)
        seen = await self.look(rollover)
        async with self.database.service_connection("pulse_ca") as tx:
            fleet, waits = await self.judge(tx, rollover, new, seen)
        return wire.RolloverSeen(
            rollover_id=rollover.rollover_id,
            profile=rollover.profile,
            old_issuer_id=rollover.old_issuer_id,
            new_issuer_id=rollover.new_issuer_id,
            state=rollover.state,
            least_share=rollover.least_share,
            drain_days=rollover.drain_days,
            draining_at=rollover.draining_at,
            created_at=rollover.created_at,
            changed_at=rollover.changed_at,
            devices=fleet.devices,
            trusting=fleet.trusting,
            holding=fleet.holding,
            left=fleet.left,
            next_state=rules.next_state(rollover.state),
            previous_state=rules.previous_state(rollover.state),
            conditions=tuple(waits),
        )

    async def look(self, rollover: Rollover) -> Seen:
        """Look outside the database, when the next step waits for something there."""
        new = self.authorities.signing(rollover.new_issuer_id)
        if new is None or not rules.needs_a_look(rollover.state):
            return Seen()
        return await self.proofs.look(self.authorities.signing(rollover.old_issuer_id), new)

    async def judge(
        self, tx: Tx, rollover: Rollover, new: Issuer, seen: Seen
    ) -> tuple[Fleet, Sequence[wire.Condition]]:
        now = self.clock()
        fleet = await store_rollover.count_fleet(tx, rollover, fingerprint_of(new), now)
        waits = rules.conditions(
            rollover,
            new=new,
            lifetime=self.profiles[rollover.profile].lifetime,
            fleet=fleet,
            seen=seen,
            now=now,
        )
        return fleet, waits

    def issuer(self, issuer_id: UUID) -> Issuer:
        """Find an issuing CA of a profile that there is.

        Raises:
            NotFound: there is none.
        """
        issuer = self.authorities.find(str(issuer_id))
        if issuer is None or issuer.kind != "issuing" or issuer.profile not in self.profiles:
            raise NotFound("no such issuing authority")
        return issuer


def fingerprint_of(issuer: Issuer) -> str:
    return issuer.certificate.fingerprint(SHA256()).hex()


def issuer_seen(issuer: Issuer) -> wire.IssuerSeen:
    return wire.IssuerSeen(
        issuer_id=issuer.issuer_id,
        profile=str(issuer.profile),
        status=issuer.status,
        not_after=issuer.certificate.not_valid_after_utc,
        fingerprint_sha256=fingerprint_of(issuer),
    )
