"""The operations of /api/v2 about device profiles, enrolment profiles and imports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot.fleet import kinds, models
from ui_iot.fleet.fleet_api import FleetApi
from ui_iot.fleet.import_api import ImportApi
from ui_iot.fleet.profile_api import ProfileApi
from ui_iot.operations import Operation
from ui_iot.people import ADMINISTRATORS, EVERYBODY

if TYPE_CHECKING:
    from ui_iot.fleet.asking import Asking

ROOT = "/api/v2"
PROFILES = f"{ROOT}/device-profiles"
FLEETS = f"{ROOT}/enrolment-profiles"
FLEET = f"{FLEETS}/{{enrolment_profile_id}}"
IMPORTS = f"{ROOT}/imports"
IMPORT = f"{IMPORTS}/{{import_id}}"


def fleet_operations(asking: Asking) -> list[Operation]:
    return [
        *_of_profiles(ProfileApi(asking)),
        *_of_fleets(FleetApi(asking)),
        *_of_credentials(FleetApi(asking)),
        *_of_imports(ImportApi(asking)),
    ]


def _of_profiles(api: ProfileApi) -> list[Operation]:
    one = f"{PROFILES}/{{profile_id}}"
    body, shown = models.ProfileBody, models.ProfileAnswer
    of_device = f"{ROOT}/devices/{{device_id}}/profile"
    return [
        kinds.read(
            "listDeviceProfiles",
            "What devices have in common",
            PROFILES,
            api.profiles,
            models.ProfilesAnswer,
        ),
        kinds.read("getDeviceProfile", "One device profile", one, api.profile, shown),
        kinds.create(
            "createDeviceProfile", "Add a device profile", PROFILES, api.create, body, shown
        ),
        kinds.change(
            "changeDeviceProfile", "Replace a device profile", one, api.change, body, shown
        ),
        kinds.delete(
            "deleteDeviceProfile", "Delete a device profile that nothing has", one, api.delete
        ),
        kinds.read(
            "getProfileOfDevice",
            "Which profile a device has",
            of_device,
            api.assigned,
            models.AssignedAnswer,
            EVERYBODY,
        ),
        Operation(
            name="assignDeviceProfile",
            summary="Give a device a profile, or none",
            method="PUT",
            path=of_device,
            roles=ADMINISTRATORS,
            handler=api.assign,
            headers=("If-Match",),
            body=models.AssignBody,
            answers={200: models.AssignedAnswer},
            refusals=frozenset({412, 428}),
        ),
    ]


def _of_fleets(api: FleetApi) -> list[Operation]:
    body, shown = models.EnrolmentBody, models.EnrolmentAnswer
    return [
        kinds.read(
            "listEnrolmentProfiles",
            "How fleets get in",
            FLEETS,
            api.fleets,
            models.EnrolmentsAnswer,
        ),
        kinds.read(
            "getEnrolmentProfile",
            "One enrolment profile, with its counters",
            FLEET,
            api.fleet,
            shown,
        ),
        kinds.create(
            "createEnrolmentProfile",
            "Add an enrolment profile",
            FLEETS,
            api.create,
            models.NewEnrolmentBody,
            shown,
        ),
        kinds.change(
            "changeEnrolmentProfile", "Replace what was decided", FLEET, api.change, body, shown
        ),
        kinds.delete(
            "deleteEnrolmentProfile",
            "Delete an enrolment profile that knows no hardware",
            FLEET,
            api.delete,
        ),
    ]


def _of_credentials(api: FleetApi) -> list[Operation]:
    claims, hardware = f"{FLEET}/claim-certificates", f"{FLEET}/hardware"
    return [
        kinds.read(
            "listClaimCertificates",
            "A fleet's claim certificates",
            claims,
            api.claims,
            models.ClaimsAnswer,
        ),
        kinds.do(
            "issueClaimCertificate",
            "Issue a claim certificate, shown this once",
            claims,
            api.issue_claim,
            models.ClaimBody,
            models.NewClaimAnswer,
            201,
        ),
        kinds.delete(
            "revokeClaimCertificate",
            "Let a claim certificate count no more",
            f"{ROOT}/claim-certificates/{{claim_certificate_id}}",
            api.revoke_claim,
        ),
        kinds.read(
            "listHardware",
            "Hardware that is known, or waits for an approval",
            hardware,
            api.hardware,
            models.HardwarePage,
            query=models.HardwareQuery,
        ),
        kinds.do(
            "registerHardware",
            "Register hardware ids; secrets are shown this once",
            hardware,
            api.register,
            models.RegisterBody,
            models.RegisteredAnswer,
        ),
        kinds.do(
            "decideHardware",
            "Approve, reject or forget hardware",
            f"{hardware}/decisions",
            api.decide,
            models.DecisionBody,
            models.DecidedAnswer,
        ),
    ]


def _of_imports(api: ImportApi) -> list[Operation]:
    state = models.ImportStateAnswer
    return [
        kinds.read(
            "listImports", "The newest 50 imports", IMPORTS, api.imports, models.ImportsAnswer
        ),
        kinds.read(
            "getImport", "One import, and how far it got", IMPORT, api.one, models.ImportAnswer
        ),
        kinds.create(
            "createImport",
            "Begin an import of devices",
            IMPORTS,
            api.create,
            models.ImportBody,
            state,
        ),
        Operation(
            name="sendImportContent",
            summary="Send the next bytes of the file, a megabyte at most; go on from `received_bytes`",
            method="PUT",
            path=f"{IMPORT}/content",
            roles=ADMINISTRATORS,
            handler=api.content,
            query=models.ContentQuery,
            answers={200: state},
            refusals=frozenset({409, 413}),
        ),
        kinds.do(
            "startImport",
            "Read what was sent, or go on after a stop",
            f"{IMPORT}/start",
            api.start,
            None,
            state,
        ),
        kinds.do(
            "cancelImport",
            "Stop; devices that are made stay",
            f"{IMPORT}/cancel",
            api.cancel,
            None,
            state,
        ),
        kinds.read(
            "listImportProblems",
            "Lines that became no device, and why",
            f"{IMPORT}/problems",
            api.problems,
            models.ProblemsAnswer,
            query=models.ProblemsQuery,
        ),
        Operation(
            name="downloadImportProblems",
            summary="The same as a CSV file",
            method="GET",
            path=f"{IMPORT}/problems.csv",
            roles=ADMINISTRATORS,
            handler=api.problems_file,
            answers={200: None},
        ),
        Operation(
            name="takeImportTokens",
            summary="An enrolment token for each device, as a CSV file, once",
            method="POST",
            path=f"{IMPORT}/tokens",
            roles=ADMINISTRATORS,
            handler=api.tokens_file,
            answers={200: None},
            refusals=frozenset({409}),
        ),
    ]
