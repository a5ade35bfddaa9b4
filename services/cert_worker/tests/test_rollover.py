"""One issuing CA follows another: each step waits for its conditions, can be taken back, and shuts nobody out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from services.cert_worker.tests.conftest import PROFILES, make_csr, sign_request

from cert_worker import measures, store
from cert_worker.authority import open_authorities
from cert_worker.ceremony import write_chain, write_request
from cert_worker.handlers.activate import Activating
from cert_worker.handlers.renew import Renewing
from cert_worker.handlers.retire import Retiring
from cert_worker.handlers.revoke_issuer import RevokingIssuers
from cert_worker.handlers.rollover import Rollovers
from cert_worker.handlers.trust import Trusting
from cert_worker.issuing import Issuing
from cert_worker.rehearsal import install
from cert_worker.rollover import ORDER, Seen
from cert_worker.rollover_watch import RolloverWatch
from cert_worker.sight import Sight, fingerprint_of
from cert_worker.signers import create_signer
from pulse_common import events_rollover as wire
from pulse_common.errors import Conflict
from pulse_common.events import CertificateUsed, RenewRequest, RevokeIssuerRequest, SignReply

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from services.cert_worker.tests.conftest import HeldClock, Service

    from cert_worker.authority import Authority
    from cert_worker.domain import Issuer
    from cert_worker.signers import Place
    from pulse_common.events_rollover import RolloverSeen, RolloverState
    from pulse_common.tenancy import Tx

pytestmark = pytest.mark.anyio

STATUS = "SELECT status FROM issuers WHERE issuer_id = %s"


@dataclass
class World:
    """What the proofs would find outside."""

    seen: Seen = field(default_factory=Seen)

    async def look(self, old: Authority | None, new: Authority) -> Seen:
        return self.seen


@dataclass(frozen=True)
class Told:
    data: bytes
    subject: str = CertificateUsed.subject
    deliveries: int = 1

    async def ack(self) -> None: ...
    async def retry(self, seconds: float) -> None: ...
    async def park(self, reason: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Rolling:
    service: Service
    rollovers: Rollovers
    trusting: Trusting
    activating: Activating
    revoking_issuers: RevokingIssuers
    renewing: Renewing
    retiring: Retiring
    world: World
    clock: HeldClock
    old: UUID
    new: UUID

    async def plan(self, **given: float) -> RolloverSeen:
        request = wire.PlanRolloverRequest.model_validate(
            {"new_issuer_id": self.new, "actor_id": "olivia", "reason": "five years are over"}
            | given
        )
        return await self.rollovers.plan(request)

    async def step(self, at: RolloverSeen, *, broker_seen_to: bool = False) -> RolloverSeen:
        return await self._go(at, "forward", broker_seen_to=broker_seen_to)

    async def back(self, at: RolloverSeen) -> RolloverSeen:
        return await self._go(at, "back")

    async def _go(
        self, at: RolloverSeen, direction: str, *, broker_seen_to: bool = False
    ) -> RolloverSeen:
        request = wire.StepRolloverRequest.model_validate(
            {
                "rollover_id": at.rollover_id,
                "from_state": at.state,
                "direction": direction,
                "broker_seen_to": broker_seen_to,
                "actor_id": "olivia",
            }
        )
        return await self.rollovers.step(request)

    async def reach(self, state: RolloverState, **given: float) -> RolloverSeen:
        at = await self.plan(**{"least_share": 0.0} | given)
        while at.state != state:
            at = await self.step(at)
        return at

    async def enrol(self) -> Device:
        tenant_id, device_id = add_device(self.service)
        return Device(
            tenant_id,
            device_id,
            await self.service.signing.sign(sign_request(tenant_id, device_id)),
        )

    async def renew(self, device: Device) -> Device:
        request = RenewRequest(
            tenant_id=device.tenant_id, device_id=device.device_id, csr_pem=make_csr()
        )
        return Device(device.tenant_id, device.device_id, await self.renewing.renew(request))

    async def use(self, device: Device) -> None:
        event = CertificateUsed(
            tenant_id=device.tenant_id,
            at=self.clock(),
            device_id=device.device_id,
            fingerprint_sha256=device.certificate.fingerprint(SHA256()).hex(),
        )
        await self.retiring.handle(Told(event.model_dump_json().encode()))

    async def trust(self, device: Device, *held: str) -> wire.TrustReply:
        request = wire.TrustRequest(
            tenant_id=device.tenant_id, device_id=device.device_id, held=held
        )
        return await self.trusting.trust(request)

    def new_fingerprint(self) -> str:
        issuer = self.service.authorities.find(str(self.new))
        assert issuer is not None
        return fingerprint_of(issuer)

    def statuses(self) -> tuple[object, object]:
        (old,), (new,) = (self.service.fetch(STATUS, issuer)[0] for issuer in (self.old, self.new))
        return old, new


@dataclass(frozen=True)
class Device:
    tenant_id: UUID
    device_id: UUID
    reply: SignReply

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.reply.certificate_pem.encode())

    def is_of(self, issuer_id: UUID) -> bool:
        return str(issuer_id) in self.certificate.issuer.rfc4514_string()


def add_device(service: Service) -> tuple[UUID, UUID]:
    tenant_id, device_id = uuid4(), uuid4()
    service.rows.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'Acme')", [tenant_id])
    service.rows.execute(
        "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'lamp')",
        [tenant_id, device_id],
    )
    return tenant_id, device_id


def stand_by(place: Place, root_folder: Path, clock: HeldClock) -> UUID:
    """Go through the ceremony for another issuing CA, under the same root."""
    issuer_id, signer = create_signer(place)
    request = write_request(place.directory, issuer_id, signer, clock())
    chain = write_chain(
        root_folder,
        (root_folder / "passphrase").read_bytes(),
        request,
        profile_name="device",
        base_url=place.base_url,
        now=clock(),
    )
    install(place, chain)
    return issuer_id


@pytest.fixture
async def rolling(service: Service, place: Place, root_folder: Path, clock: HeldClock) -> Rolling:
    old = service.authority.issuing.issuer_id
    new = stand_by(place, root_folder, clock)
    await open_authorities(service.database, place, clock)
    await service.publisher.follow()
    database, authorities = service.database, service.authorities
    world = World()
    sight = Sight(
        database=database, authorities=authorities, profiles=PROFILES, proofs=world, clock=clock
    )
    issuing = Issuing(authorities=authorities, profiles=PROFILES, clock=clock)
    return Rolling(
        service=service,
        rollovers=Rollovers(database=database, authorities=authorities, sight=sight, clock=clock),
        trusting=Trusting(database=database, authorities=authorities, clock=clock),
        activating=Activating(database=database, authorities=authorities, clock=clock),
        revoking_issuers=RevokingIssuers(database=database, authorities=authorities, clock=clock),
        renewing=Renewing(database=database, issuing=issuing, clock=clock),
        retiring=Retiring(database=database, publisher=service.publisher, clock=clock),
        world=world,
        clock=clock,
        old=old,
        new=new,
    )


async def test_fleet_moves_to_the_new_issuer_and_the_old_one_retires(rolling: Rolling) -> None:
    first, second = await rolling.enrol(), await rolling.enrol()
    at = await rolling.plan(least_share=1.0)
    at = await rolling.step(at)
    for device in (first, second):
        await rolling.trust(device, rolling.new_fingerprint())
    at = await rolling.step(await rolling.step(at))
    assert (at.state, rolling.statuses()) == ("issuing_from_new", ("draining", "active"))

    for device in (first, second):
        renewed = await rolling.renew(device)
        assert device.is_of(rolling.old)
        assert renewed.is_of(rolling.new)
        await rolling.use(renewed)
    at = await rolling.step(await rolling.step(at))

    assert (at.state, at.left, at.holding, at.devices) == ("retired", 0, 2, 2)
    assert rolling.statuses() == ("retired", "active")
    told = rolling.service.fetch(
        "SELECT subject FROM outbox WHERE subject LIKE 'pulse.events.issuer.%%' ORDER BY created_at, event_id"
    )
    assert sorted(str(subject) for (subject,) in told) == [
        "pulse.events.issuer.retired",
        *["pulse.events.issuer.rollover_changed"] * 6,
    ]
    acts = rolling.service.fetch(
        "SELECT actor_kind, actor_id, after FROM audit_log WHERE action LIKE 'rollover.%%' ORDER BY at, audit_id"
    )
    assert [(kind, who) for kind, who, _ in acts] == [("operator", "olivia")] * 6


@pytest.mark.parametrize("state", ORDER[:-1])
async def test_each_step_but_the_last_can_be_taken_back_and_shuts_nobody_out(
    rolling: Rolling, state: RolloverState
) -> None:
    device = await rolling.enrol()
    at = await rolling.plan(least_share=0.0)
    while at.state != state:
        if at.state == "issuing_from_new":
            device = await rolling.renew(device)
            await rolling.use(device)
        at = await rolling.step(at)

    after = await rolling.back(at)

    expected = "cancelled" if state == "planned" else ORDER[ORDER.index(state) - 1]
    assert after.state == expected
    # Whoever came in before comes in now, and gets the next certificate of the one that issues.
    issuer = await rolling.renew(device)
    assert issuer.is_of(rolling.new if expected == "issuing_from_new" else rolling.old)
    (counts,) = rolling.service.fetch(
        "SELECT count(*) FROM certificates c JOIN issuers i USING (issuer_id) "
        "WHERE c.status = 'valid' AND i.status NOT IN ('retired', 'revoked') AND device_id = %s",
        device.device_id,
    )
    assert counts == (2,)


async def test_retired_is_for_ever(rolling: Rolling) -> None:
    at = await rolling.reach("retired")

    for go in (rolling.step, rolling.back):
        with pytest.raises(Conflict, match="over"):
            await go(at)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Seen(bundle="not there"), "bundle is served: not there"),
        (Seen(lists="3 of 4"), "lists are served: 3 of 4"),
        (Seen(broker="refuses"), "broker trusts it: refuses"),
    ],
)
@pytest.mark.parametrize("state", ["distributing", "dual_trust"])
async def test_nothing_is_issued_before_the_world_knows_the_new_issuer(
    rolling: Rolling, state: RolloverState, seen: Seen, reason: str
) -> None:
    at = await rolling.reach(state)
    rolling.world.seen = seen

    with pytest.raises(Conflict, match=reason):
        await rolling.step(at)

    assert rolling.statuses() == ("active", "standby")


async def test_operator_may_vouch_for_the_broker_alone(rolling: Rolling) -> None:
    at = await rolling.reach("distributing")
    rolling.world.seen = Seen(broker="can't tell")
    assert (await rolling.step(at, broker_seen_to=True)).state == "dual_trust"
    rolling.world.seen = Seen(bundle="gone", broker="can't tell")

    with pytest.raises(Conflict, match="bundle is served"):
        await rolling.step(at.model_copy(update={"state": "dual_trust"}), broker_seen_to=True)

    (row,) = rolling.service.fetch(
        "SELECT details->>'broker_seen_to' FROM audit_log WHERE action = 'rollover.step' "
        "ORDER BY at DESC, audit_id DESC LIMIT 1"
    )
    assert row == ("true",)


async def test_step_waits_for_the_share_of_the_fleet_that_was_asked_for(rolling: Rolling) -> None:
    devices = [await rolling.enrol() for _ in range(20)]
    at = await rolling.step(await rolling.plan(least_share=0.95))
    for device in devices[:18]:
        await rolling.trust(device, rolling.new_fingerprint())
    with pytest.raises(Conflict, match=r"fleet trusts it: 18 of 20 devices, 95.0% needed"):
        await rolling.step(at)

    await rolling.trust(devices[18], rolling.new_fingerprint(), "0" * 64)

    assert (await rolling.step(at)).state == "dual_trust"


async def test_devices_are_told_of_the_new_issuer_from_distributing_on(rolling: Rolling) -> None:
    device = await rolling.enrol()
    at = await rolling.plan(least_share=0.0)

    before = await rolling.trust(device)
    await rolling.step(at)
    after = await rolling.trust(device)

    assert len(x509.load_pem_x509_certificates(before.authorities_pem.encode())) == 2
    told = x509.load_pem_x509_certificates(after.authorities_pem.encode())
    assert rolling.new_fingerprint() in {one.fingerprint(SHA256()).hex() for one in told}
    assert after.renew_in_seconds is None


async def test_draining_waits_for_a_device_that_came_in_with_the_new_issuer(
    rolling: Rolling,
) -> None:
    device = await rolling.enrol()
    at = await rolling.reach("issuing_from_new")
    renewed = await rolling.renew(device)
    with pytest.raises(Conflict, match="a device has come in"):
        await rolling.step(at)

    await rolling.use(renewed)

    assert (await rolling.step(at)).state == "draining"


async def test_old_issuer_stays_while_a_certificate_of_it_counts_or_is_held(
    rolling: Rolling,
) -> None:
    renewed, straggler = await rolling.enrol(), await rolling.enrol()
    at = await rolling.reach("issuing_from_new")
    await rolling.use(await rolling.renew(renewed))
    at = await rolling.step(at)
    with pytest.raises(Conflict, match="1 certificates count still"):
        await rolling.step(at)
    rolling.service.rows.execute(
        "UPDATE certificates SET status = 'held', revoked_at = now(), revocation_reason = 'certificateHold' "
        "WHERE device_id = %s",
        [straggler.device_id],
    )
    with pytest.raises(Conflict, match="1 certificates count still"):
        await rolling.step(at)

    rolling.clock.move(timedelta(days=91))

    assert (await rolling.step(at)).state == "retired"


async def test_draining_devices_renew_early_spread_evenly_over_the_days(rolling: Rolling) -> None:
    devices = [await rolling.enrol() for _ in range(60)]
    at = await rolling.reach("issuing_from_new", drain_days=30)
    moved = await rolling.renew(devices[0])
    await rolling.use(moved)
    await rolling.step(at)

    asked = [(await rolling.trust(device)).renew_in_seconds for device in devices]

    assert asked[0] is None, "it has renewed"
    waits = sorted(seconds for seconds in asked if seconds is not None)
    assert len(waits) == 59
    month = timedelta(days=30).total_seconds()
    assert 0 <= waits[0] < month / 6
    assert month * 5 / 6 < waits[-1] <= month
    rolling.clock.move(timedelta(days=30))
    assert (await rolling.trust(devices[1])).renew_in_seconds == 0


async def test_lists_of_a_retired_issuer_are_kept_until_what_it_issued_has_expired(
    rolling: Rolling, place: Place
) -> None:
    device = await rolling.enrol()
    at = await rolling.reach("issuing_from_new")
    await rolling.use(await rolling.renew(device))
    await rolling.step(await rolling.step(at))
    publisher, authorities = rolling.service.publisher, rolling.service.authorities

    await publisher.follow()

    kept = {one.issuing.issuer_id for one in authorities.signing_lists}
    assert kept == {rolling.old, rolling.new}
    assert {shard.issuer_id for shard in publisher.lists} == kept
    bundle = x509.load_pem_x509_certificates(place.bundle.read_bytes())
    assert not [one for one in bundle if str(rolling.old) in one.subject.rfc4514_string()]
    rolling.clock.move(timedelta(days=93))
    await publisher.follow()
    assert {shard.issuer_id for shard in publisher.lists} == {rolling.new}
    await publisher.check()


async def test_the_database_lets_no_two_issue_for_a_profile(rolling: Rolling) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        rolling.service.rows.execute(
            "UPDATE issuers SET status = 'active' WHERE issuer_id = %s", [rolling.new]
        )


async def test_only_one_roll_over_of_a_profile_is_under_way(rolling: Rolling) -> None:
    at = await rolling.plan()
    with pytest.raises(Conflict, match="under way"):
        await rolling.plan()

    await rolling.back(at)

    assert (await rolling.plan()).state == "planned"


async def test_step_from_a_state_that_is_over_is_refused(rolling: Rolling) -> None:
    at = await rolling.plan(least_share=0.0)
    await rolling.step(at)

    with pytest.raises(Conflict, match="distributing"):
        await rolling.step(at)


async def test_new_issuer_that_would_cut_certificates_short_is_not_taken(rolling: Rolling) -> None:
    at = await rolling.plan(least_share=0.0)
    rolling.clock.move(timedelta(days=5 * 365 - 30))

    with pytest.raises(Conflict, match="outlives what it issues"):
        await rolling.step(at)


async def test_standby_is_activated_only_where_nobody_issues(rolling: Rolling) -> None:
    wanted = wire.ActivateIssuerRequest(issuer_id=rolling.new, actor_id="olivia")
    with pytest.raises(Conflict, match="roll over"):
        await rolling.activating.activate(wanted)
    at = await rolling.plan()

    await rolling.revoking_issuers.revoke(
        RevokeIssuerRequest(issuer_id=rolling.old, reason="cACompromise", actor_id="olivia")
    )
    await rolling.activating.activate(wanted)

    assert rolling.statuses() == ("revoked", "active")
    assert (await rolling.enrol()).is_of(rolling.new)
    with pytest.raises(Conflict, match="cancelled"):
        await rolling.step(at)


async def test_gauges_tell_which_share_trusts_and_which_holds(rolling: Rolling) -> None:
    devices = [await rolling.enrol() for _ in range(4)]
    at = await rolling.reach("dual_trust")
    for device in devices[:3]:
        await rolling.trust(device, rolling.new_fingerprint())
    await rolling.step(at)
    await rolling.renew(devices[0])
    watch = RolloverWatch(
        database=rolling.service.database,
        authorities=rolling.service.authorities,
        clock=rolling.clock,
    )

    await watch.measure()

    shares = {
        sample.labels["kind"]: sample.value
        for family in measures.ROLLOVER_SHARE.collect()
        for sample in family.samples
    }
    assert shares == {"trusts": 0.75, "holds": 0.25}


async def test_device_without_a_certificate_that_counts_reports_nothing(rolling: Rolling) -> None:
    tenant_id, device_id = add_device(rolling.service)
    request = wire.TrustRequest(tenant_id=tenant_id, device_id=device_id, held=())

    with pytest.raises(Conflict, match="enrol again"):
        await rolling.trusting.trust(request)


async def roll_over_elsewhere(rolling: Rolling) -> None:
    """Let another replica change who issues, and this one not know of it yet."""
    stale = rolling.service.authorities._issuers
    await rolling.reach("issuing_from_new")
    rolling.service.authorities.take(stale)


async def test_first_certificate_after_another_replica_changed_the_issuer_is_of_the_new_one(
    rolling: Rolling,
) -> None:
    await roll_over_elsewhere(rolling)

    assert (await rolling.enrol()).is_of(rolling.new)


async def test_renewal_after_another_replica_changed_the_issuer_is_of_the_new_one(
    rolling: Rolling,
) -> None:
    device = await rolling.enrol()
    await roll_over_elsewhere(rolling)

    assert (await rolling.renew(device)).is_of(rolling.new)


async def test_what_was_read_before_a_change_does_not_take_the_place_of_what_was_read_since(
    rolling: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorities = rolling.service.authorities
    read, go_on = asyncio.Event(), asyncio.Event()
    list_issuers = store.list_issuers

    async def slowly(tx: Tx) -> Sequence[Issuer]:
        issuers = await list_issuers(tx)
        if not read.is_set():
            read.set()
            await go_on.wait()
        return issuers

    monkeypatch.setattr(store, "list_issuers", slowly)
    stale = asyncio.create_task(authorities.refresh())
    await read.wait()
    changed = asyncio.create_task(rolling.reach("issuing_from_new"))
    await asyncio.sleep(0.2)
    go_on.set()
    await asyncio.gather(stale, changed)

    assert authorities.of_profile("device").issuing.issuer_id == rolling.new
