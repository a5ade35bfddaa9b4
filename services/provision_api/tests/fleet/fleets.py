"""A fleet and the ways into it, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from services.provision_api.tests.fleet.ca import Ca, make_csr

from provision_api.enrolment import Caller, Enrolled, Enrolment
from provision_api.fleet.credentials import Credentials
from provision_api.fleet.enrolling import ByClaim, ByMakerKey, BySecret, FleetEnrolment, Held
from provision_api.fleet.enrolment_profiles import EnrolmentProfiles
from provision_api.fleet.rules import Label
from pulse_common import events_fleet as calls
from pulse_common.identity import TenantId
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from services.provision_api.tests.fleet.people import People

CALLER = Caller(kind="device", id="claim-certificate", address="192.0.2.7")


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Fleet:
    """One enrolment profile of one tenant."""

    people: People
    ca: Ca
    tenant: UUID
    token: str
    profile: UUID
    claim: x509.Certificate | None = None
    claim_id: UUID | None = None

    @property
    def enrolling(self) -> FleetEnrolment:
        return FleetEnrolment(Enrolment(self.people.db, self.ca.bus, self.people.clock))

    @property
    def credentials(self) -> Credentials:
        return Credentials(
            db=self.people.db,
            bus=self.ca.bus,
            clock=self.people.clock,
            administrators=self.people.administrators,
        )

    def shown_claim(self, hardware_id: str) -> ByClaim:
        assert self.claim is not None
        return ByClaim(TenantId(self.tenant), self.claim.fingerprint(hashes.SHA256()), hardware_id)

    async def ask(
        self, hardware_id: str, key: ec.EllipticCurvePrivateKey | None = None
    ) -> Enrolled | Held:
        csr = make_csr(key or new_key())
        return await self.enrolling.enrol(self.shown_claim(hardware_id), csr, CALLER)

    async def ask_with_secret(
        self, hardware_id: str, secret: str, key: ec.EllipticCurvePrivateKey
    ) -> Enrolled | Held:
        return await self.enrolling.enrol(BySecret(secret, hardware_id), make_csr(key), CALLER)

    async def ask_with_makers_key(
        self, hardware_id: str, key: ec.EllipticCurvePrivateKey, label: str = "meters"
    ) -> Enrolled | Held:
        shown = ByMakerKey(Label(TenantId(self.tenant), label), hardware_id)
        return await self.enrolling.enrol(shown, make_csr(key), CALLER)

    async def decide(
        self, decision: Literal["approve", "reject", "forget"], *hardware_ids: str
    ) -> int:
        asked = calls.DecideHardwareRequest(
            access_token=self.token,
            enrolment_profile_id=self.profile,
            hardware_ids=list(hardware_ids),
            decision=decision,
        )
        return (await self.credentials.decide(asked)).changed

    async def register(
        self, *items: calls.Hardware, secrets: bool = False
    ) -> calls.RegisterHardwareReply:
        asked = calls.RegisterHardwareRequest(
            access_token=self.token,
            enrolment_profile_id=self.profile,
            items=list(items),
            secrets=secrets,
        )
        return await self.credentials.register(asked)

    async def issue_claim(self, days: int = 30) -> None:
        asked = calls.IssueClaimCertificateRequest(
            access_token=self.token,
            enrolment_profile_id=self.profile,
            csr_pem=make_csr(new_key()),
            days=days,
        )
        made = await self.credentials.issue_claim(asked)
        self.claim = x509.load_pem_x509_certificate(made.certificate_pem.encode())
        self.claim_id = made.claim_certificate_id

    def states(self) -> dict[str, str]:
        query = "SELECT hardware_id, state FROM hardware_ids WHERE tenant_id = %s"
        return dict(self.people.rows(query, self.tenant))


async def make_fleet(
    people: People,
    method: calls.Method = "claim",
    *,
    tenant: UUID | None = None,
    label: str = "meters",
    **wishes: object,
) -> Fleet:
    tenant = tenant or people.tenant()
    token, profile = people.person(tenant), new_id()
    asked = calls.CreateEnrolmentProfileRequest(
        access_token=token,
        enrolment_profile_id=profile,
        label=label,
        method=method,
        wanted=calls.EnrolmentWanted.model_validate({"name": f"Fleet {uuid4()}", **wishes}),
    )
    fleets = EnrolmentProfiles(db=people.db, administrators=people.administrators)
    await fleets.create(asked)
    fleet = Fleet(people, Ca(people.clock), tenant, token, profile)
    if method == "claim":
        await fleet.issue_claim()
    return fleet
