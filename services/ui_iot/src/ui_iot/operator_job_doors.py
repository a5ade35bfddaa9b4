"""The operators' pages and operations about deliveries and jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import Response

from pulse_common.http import Guarded
from pulse_common.identity import OPERATOR_ROLES
from ui_iot import operator_job_models as models
from ui_iot.audit_search import read_form
from ui_iot.operations import Operation, read_query
from ui_iot.operator_pages import console_page

if TYPE_CHECKING:
    from starlette.requests import Request

    from pulse_common.http import Endpoint
    from pulse_common.identity import Principal
    from ui_iot.operator_jobs import OperatorJobs
    from ui_iot.operator_pages import OperatorPages
    from ui_iot.operator_who import Reasons
    from ui_iot.operators import Operator

API = "/api/v2/operator"
OPERATORS: frozenset[str] = frozenset(OPERATOR_ROLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDoors:
    jobs: OperatorJobs
    reasons: Reasons

    def operations(self) -> list[Operation]:
        return [
            Operation(
                name="operatorDeliveries",
                summary="Whether the deliveries of all tenants get through, page by page",
                method="GET",
                path=f"{API}/deliveries",
                roles=OPERATORS,
                handler=self.deliveries,
                query=models.DeliveriesQuery,
                answers={200: models.DeliveriesAnswer},
            ),
            Operation(
                name="operatorJobs",
                summary="The platform's own work, its message streams, and what was parked",
                method="GET",
                path=f"{API}/jobs",
                roles=OPERATORS,
                handler=self.all_jobs,
                answers={200: models.JobsAnswer},
            ),
        ]

    def pages(self, console: OperatorPages) -> list[Endpoint]:
        pages = {
            "/operator/deliveries": console.reading(self.deliveries_page),
            "/operator/jobs": console.reading(self.jobs_page),
        }
        return [
            Guarded(method="GET", path=path, roles=OPERATORS, handler=handler)
            for path, handler in pages.items()
        ]

    async def deliveries(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.DeliveriesQuery)
        who = self.reasons.of_program(request, principal)
        answer = await self.jobs.deliveries(who, query)
        return Response(answer.model_dump_json(), media_type="application/json")

    async def all_jobs(self, request: Request, principal: Principal) -> Response:
        answer = await self.jobs.jobs(self.reasons.of_program(request, principal))
        return Response(answer.model_dump_json(), media_type="application/json")

    async def deliveries_page(
        self, request: Request, principal: Principal, who: Operator
    ) -> Response:
        # A form sends its empty fields too.
        given = {name: value.strip() for name, value in request.query_params.items()}
        given = {name: value for name, value in given.items() if value}
        found = await self.jobs.deliveries(who, read_form(models.DeliveriesQuery, given))
        filters = {name: value for name, value in given.items() if name != "after"}
        context: dict[str, object] = {
            "routes": found.routes,
            "filters": filters,
            "next_query": urlencode({**filters, "after": found.next_after})
            if found.next_after
            else "",
        }
        return console_page(request, principal, who, "operator_deliveries.html", context)

    async def jobs_page(self, request: Request, principal: Principal, who: Operator) -> Response:
        context = {"found": await self.jobs.jobs(who)}
        return console_page(request, principal, who, "operator_jobs.html", context)
