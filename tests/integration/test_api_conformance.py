"""The API as its own document has it: whatever is asked, no 5xx and no answer that the document does not name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from pulse_local.seed import ACME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import BaseSchema
    from tests.integration.people import Person
    from tests.integration.world import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

#: Fewer than one person may ask in a minute, all operations together.
EXAMPLES = 20
CHECKED = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "missing_required_header",
]
OPERATIONS = [
    ("GET", "/api/v2/devices"),
    ("POST", "/api/v2/devices"),
    ("GET", "/api/v2/devices/{device_id}"),
    ("PATCH", "/api/v2/devices/{device_id}"),
    ("GET", "/api/v2/devices/{device_id}/telemetry"),
    ("POST", "/api/v2/devices/{device_id}/revoke"),
    ("POST", "/api/v2/devices/{device_id}/commands"),
    ("POST", "/api/v2/devices/{device_id}/rescue"),
    ("DELETE", "/api/v2/devices/{device_id}/rescue"),
    ("POST", "/api/v2/devices/{device_id}/transfer"),
    ("GET", "/api/v2/transfers"),
    ("POST", "/api/v2/transfers/{transfer_id}/withdraw"),
    ("POST", "/api/v2/transfers/{transfer_id}/accept"),
    ("POST", "/api/v2/transfers/{transfer_id}/decline"),
    ("GET", "/api/v2/expiring"),
    ("GET", "/api/v2/devices/{device_id}/denials"),
    ("POST", "/api/v2/devices/{device_id}/dry-run"),
    ("GET", "/api/v2/devices/{device_id}/readings"),
    ("GET", "/api/v2/devices/{device_id}/readings/buckets"),
    ("GET", "/api/v2/devices/{device_id}/readings/export"),
    ("GET", "/api/v2/devices/{device_id}/dead-letters"),
    ("GET", "/api/v2/devices/{device_id}/limits"),
    ("GET", "/api/v2/devices/{device_id}/commands"),
    ("GET", "/api/v2/dead-letters"),
    ("GET", "/api/v2/limits"),
    ("GET", "/api/v2/findings"),
    ("GET", "/api/v2/groups"),
    ("POST", "/api/v2/groups"),
    ("GET", "/api/v2/groups/{group_id}"),
    ("PATCH", "/api/v2/groups/{group_id}"),
    ("DELETE", "/api/v2/groups/{group_id}"),
    ("GET", "/api/v2/groups/{group_id}/devices"),
    ("POST", "/api/v2/groups/{group_id}/devices"),
    ("GET", "/api/v2/alert-rules"),
    ("POST", "/api/v2/alert-rules"),
    ("GET", "/api/v2/alert-rules/{rule_id}"),
    ("PUT", "/api/v2/alert-rules/{rule_id}"),
    ("DELETE", "/api/v2/alert-rules/{rule_id}"),
    ("GET", "/api/v2/alerts"),
    ("POST", "/api/v2/alerts/{alert_id}/acknowledge"),
    ("GET", "/api/v2/audit"),
    ("GET", "/api/v2/audit/export"),
    ("GET", "/api/v2/archive"),
    ("GET", "/api/v2/session"),
    ("GET", "/api/v2/sessions"),
    ("GET", "/api/v2/team"),
    ("POST", "/api/v2/team"),
    ("GET", "/api/v2/team/{member_id}"),
    ("PATCH", "/api/v2/team/{member_id}"),
    ("DELETE", "/api/v2/team/{member_id}"),
    ("POST", "/api/v2/team/{member_id}/invitation"),
    ("GET", "/api/v2/event-types"),
    ("GET", "/api/v2/routes"),
    ("POST", "/api/v2/routes"),
    ("GET", "/api/v2/routes/{route_id}"),
    ("PUT", "/api/v2/routes/{route_id}"),
    ("DELETE", "/api/v2/routes/{route_id}"),
    ("POST", "/api/v2/routes/{route_id}/verify"),
    ("POST", "/api/v2/routes/{route_id}/test"),
    ("POST", "/api/v2/routes/{route_id}/pause"),
    ("POST", "/api/v2/routes/{route_id}/resume"),
    ("POST", "/api/v2/routes/{route_id}/secret"),
    ("POST", "/api/v2/routes/{route_id}/replay"),
    ("GET", "/api/v2/routes/{route_id}/dead-letters"),
    ("GET", "/api/v2/routes/{route_id}/dead-letters/{delivery_id}"),
    ("GET", "/api/v2/deliveries"),
    ("GET", "/api/v2/device-profiles"),
    ("POST", "/api/v2/device-profiles"),
    ("GET", "/api/v2/device-profiles/{profile_id}"),
    ("PUT", "/api/v2/device-profiles/{profile_id}"),
    ("DELETE", "/api/v2/device-profiles/{profile_id}"),
    ("GET", "/api/v2/devices/{device_id}/profile"),
    ("PUT", "/api/v2/devices/{device_id}/profile"),
    ("GET", "/api/v2/enrolment-profiles"),
    ("POST", "/api/v2/enrolment-profiles"),
    ("GET", "/api/v2/enrolment-profiles/{enrolment_profile_id}"),
    ("PUT", "/api/v2/enrolment-profiles/{enrolment_profile_id}"),
    ("DELETE", "/api/v2/enrolment-profiles/{enrolment_profile_id}"),
    ("GET", "/api/v2/enrolment-profiles/{enrolment_profile_id}/claim-certificates"),
    ("POST", "/api/v2/enrolment-profiles/{enrolment_profile_id}/claim-certificates"),
    ("DELETE", "/api/v2/claim-certificates/{claim_certificate_id}"),
    ("GET", "/api/v2/enrolment-profiles/{enrolment_profile_id}/hardware"),
    ("POST", "/api/v2/enrolment-profiles/{enrolment_profile_id}/hardware"),
    ("POST", "/api/v2/enrolment-profiles/{enrolment_profile_id}/hardware/decisions"),
    ("GET", "/api/v2/imports"),
    ("POST", "/api/v2/imports"),
    ("GET", "/api/v2/imports/{import_id}"),
    ("PUT", "/api/v2/imports/{import_id}/content"),
    ("POST", "/api/v2/imports/{import_id}/start"),
    ("POST", "/api/v2/imports/{import_id}/cancel"),
    ("GET", "/api/v2/imports/{import_id}/problems"),
    ("GET", "/api/v2/imports/{import_id}/problems.csv"),
    ("POST", "/api/v2/imports/{import_id}/tokens"),
    ("GET", "/api/v2/billing"),
    ("GET", "/api/v2/billing/invoices"),
    ("POST", "/api/v2/billing/checkout"),
    ("POST", "/api/v2/billing/portal"),
]
#: These would sign the other tests' people out.
NOT_TRIED = {
    ("POST", "/api/v2/sessions/end-others"),
    ("POST", "/api/v2/sessions/{session_id}/end"),
}


@pytest.fixture(scope="module")
def document(world: World, alice: Person) -> BaseSchema:
    load_all_checks()
    answer = alice.api.get("/api/v2/openapi.json")
    assert answer.status_code == 200
    found = schemathesis.openapi.from_dict(answer.json())
    found.validate()
    return found


@dataclass(frozen=True, kw_only=True)
class Door:
    """How an API client reaches the service, and a device that it may do everything to."""

    url: str
    bearer: dict[str, str]
    device_id: str


@pytest.fixture(scope="module")
def door(world: World, alice: Person) -> Iterator[Door]:
    """Yield the way in, and cancel afterwards the imports that strangers began: only so many may be under way."""
    yield Door(
        url=f"http://127.0.0.1:{world.stack.ports.ui_iot}",
        bearer={"authorization": alice.api.headers["authorization"]},
        device_id=world.new_device(ACME, "Spare for strangers' requests"),
    )
    for one in alice.api.get("/api/v2/imports").json()["imports"]:
        if one["state"] == "uploading":
            alice.api.post(f"/api/v2/imports/{one['id']}/cancel")


def test_every_operation_is_tried(document: BaseSchema) -> None:
    paths = document.raw_schema["paths"]
    named = {(method.upper(), path) for path, item in paths.items() for method in item}

    assert named == set(OPERATIONS) | NOT_TRIED


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_those_of_the_document(
    document: BaseSchema, door: Door, method: str, path: str, mode: GenerationMode
) -> None:
    operation = document[path][method]
    checks: Any = CHECKS.get_by_names(CHECKED)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode), own=st.booleans())
    def ask(case: schemathesis.Case[Any], *, own: bool) -> None:
        if own and "device_id" in (case.path_parameters or {}):
            case.path_parameters = {"device_id": door.device_id}
        case.validate_response(case.call(base_url=door.url, headers=door.bearer), checks=checks)

    ask()
