"""The JSON API about how fleets get in: enrolment profiles, claim certificates, hardware and decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from pulse_common import events_fleet as calls
from pulse_common.http import read_model
from ui_iot.api import active_tenant
from ui_iot.conditional import answer, check_version
from ui_iot.fleet import models, store
from ui_iot.fleet.asking import answered, path_id, the_one, who
from ui_iot.operations import read_query

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.identity import Principal
    from pulse_common.tenancy import Row
    from ui_iot.fleet.asking import Asking

PAGE_SIZE = 100
NONE = "no such enrolment profile"
ID = "enrolment_profile_id"


@dataclass(frozen=True, slots=True)
class FleetApi:
    asking: Asking

    async def fleets(self, request: Request, principal: Principal) -> Response:
        async with active_tenant(self.asking.db, principal) as tx:
            rows = await store.list_fleets(tx)
        shown = models.EnrolmentsAnswer(enrolment_profiles=[_show(row) for row in rows])
        return answer(request, shown)

    async def fleet(self, request: Request, principal: Principal) -> Response:
        row = await self.find(path_id(request, ID), principal)
        return answer(request, _show(row), row["version"])

    async def create(self, request: Request, principal: Principal) -> Response:
        async def work(body: models.NewEnrolmentBody, made: UUID) -> models.EnrolmentAnswer:
            asked = calls.CreateEnrolmentProfileRequest(
                **who(request),
                enrolment_profile_id=made,
                label=body.label,
                method=body.method,
                wanted=calls.EnrolmentWanted.model_validate(body.model_dump()),
            )
            await self.asking.ask(asked, calls.EnrolmentProfileReply)
            return _show(await self.find(made, principal))

        return await self.asking.create(request, principal, models.NewEnrolmentBody, work)

    async def change(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, models.EnrolmentBody)
        row = await self.find(path_id(request, ID), principal)
        asked = calls.ChangeEnrolmentProfileRequest(
            **who(request),
            enrolment_profile_id=row["id"],
            wanted=calls.EnrolmentWanted.model_validate(body.model_dump()),
            version=check_version(request, row["version"]),
        )
        await self.asking.ask(asked, calls.EnrolmentProfileReply)
        return await self.fleet(request, principal)

    async def delete(self, request: Request, principal: Principal) -> Response:
        row = await self.find(path_id(request, ID), principal)
        asked = calls.DeleteEnrolmentProfileRequest(**who(request), enrolment_profile_id=row["id"])
        await self.asking.ask(asked, calls.EnrolmentProfileReply)
        return Response(None, 204)

    async def claims(self, request: Request, principal: Principal) -> Response:
        row = await self.find(path_id(request, ID), principal)
        async with active_tenant(self.asking.db, principal) as tx:
            claims = await store.list_claims(tx, row["id"])
        shown = [models.ClaimAnswer(**claim) for claim in claims]
        return answer(request, models.ClaimsAnswer(claim_certificates=shown))

    async def issue_claim(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, models.ClaimBody)
        row = await self.find(path_id(request, ID), principal)
        asked = calls.IssueClaimCertificateRequest(
            **who(request), enrolment_profile_id=row["id"], csr_pem=body.csr, days=body.days
        )
        made = await self.asking.ask(asked, calls.ClaimCertificateReply)
        shown = models.NewClaimAnswer(
            id=made.claim_certificate_id,
            certificate=made.certificate_pem,
            chain=made.chain_pem,
            serial_number=made.serial_number,
            not_after=made.not_after,
        )
        return answered(shown, 201)

    async def revoke_claim(self, request: Request, _: Principal) -> Response:
        asked = calls.RevokeClaimCertificateRequest(
            **who(request), claim_certificate_id=path_id(request, "claim_certificate_id")
        )
        await self.asking.ask(asked, calls.ChangedReply)
        return Response(None, 204)

    async def hardware(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.HardwareQuery)
        row = await self.find(path_id(request, ID), principal)
        return answer(request, await self.hardware_page(principal, row["id"], query))

    async def hardware_page(
        self, principal: Principal, enrolment_profile_id: UUID, query: models.HardwareQuery
    ) -> models.HardwarePage:
        async with active_tenant(self.asking.db, principal) as tx:
            rows = await store.list_hardware(
                tx,
                enrolment_profile_id,
                state=query.state,
                after=query.after,
                limit=PAGE_SIZE + 1,
            )
        shown = [models.HardwareAnswer(**row) for row in rows[:PAGE_SIZE]]
        more = len(rows) > PAGE_SIZE
        return models.HardwarePage(
            hardware=shown, next_after=shown[-1].hardware_id if more else None
        )

    async def register(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, models.RegisterBody, 256 * 1024)
        row = await self.find(path_id(request, ID), principal)
        asked = calls.RegisterHardwareRequest(
            **who(request),
            enrolment_profile_id=row["id"],
            items=[calls.Hardware.model_validate(one.model_dump()) for one in body.items],
            secrets=body.secrets,
        )
        made = await self.asking.ask(asked, calls.RegisterHardwareReply)
        return answered(models.RegisteredAnswer.model_validate(made.model_dump()))

    async def decide(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, models.DecisionBody)
        row = await self.find(path_id(request, ID), principal)
        asked = calls.DecideHardwareRequest(
            **who(request),
            enrolment_profile_id=row["id"],
            hardware_ids=body.hardware_ids,
            decision=body.decision,
        )
        made = await self.asking.ask(asked, calls.ChangedReply)
        return answered(models.DecidedAnswer(changed=made.changed))

    async def find(self, enrolment_profile_id: UUID, principal: Principal) -> Row:
        async with active_tenant(self.asking.db, principal) as tx:
            return the_one(await store.list_fleets(tx, enrolment_profile_id), NONE)


def _show(row: Row) -> models.EnrolmentAnswer:
    return models.EnrolmentAnswer(
        **{name: row[name] for name in models.EnrolmentAnswer.model_fields}
    )
