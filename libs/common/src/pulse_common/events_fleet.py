"""What crosses NATS about fleets: enrolment profiles, claim certificates, hardware ids and imports.

As in ``events_profiles``: ui_iot asks provision_api as the bearer of ``access_token``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from pulse_common.events import Call, Wire
from pulse_common.events_profiles import AsAdministrator

MOST_HARDWARE_A_CALL = 500
LARGEST_PART_BYTES = 256 * 1024
"""Of an import, in one message: NATS carries a megabyte, and base64 adds a third."""

Method = Literal["claim", "hardware"]
Approval = Literal["auto", "hold"]
ImportFormat = Literal["csv", "jsonl"]


class EnrolmentWanted(Wire):
    """What a tenant decides about how a fleet gets in; None of a quota is no quota."""

    name: str
    approval: Approval = "auto"
    known_only: bool = False
    device_profile_id: UUID | None = None
    status: Literal["active", "closed"] = "active"
    most_devices: int | None = None
    most_per_hour: int | None = None


class CreateEnrolmentProfileRequest(AsAdministrator):
    """Make one; ``label`` (EST's, after the tenant's id) and ``method`` stay."""

    rpc = "pulse.rpc.provision_api.create_enrolment_profile"
    enrolment_profile_id: UUID
    label: str
    method: Method
    wanted: EnrolmentWanted


class ChangeEnrolmentProfileRequest(AsAdministrator):
    rpc = "pulse.rpc.provision_api.change_enrolment_profile"
    enrolment_profile_id: UUID
    wanted: EnrolmentWanted
    version: int | None


class DeleteEnrolmentProfileRequest(AsAdministrator):
    """Delete one that knows no hardware; its claim certificates go with it."""

    rpc = "pulse.rpc.provision_api.delete_enrolment_profile"
    enrolment_profile_id: UUID


class EnrolmentProfileReply(Wire):
    enrolment_profile_id: UUID
    version: int


class IssueClaimCertificateRequest(AsAdministrator):
    rpc = "pulse.rpc.provision_api.issue_claim_certificate"
    enrolment_profile_id: UUID
    csr_pem: str
    days: int


class ClaimCertificateReply(Wire):
    claim_certificate_id: UUID
    certificate_pem: str
    chain_pem: str
    serial_number: str
    not_after: datetime


class RevokeClaimCertificateRequest(AsAdministrator):
    rpc = "pulse.rpc.provision_api.revoke_claim_certificate"
    claim_certificate_id: UUID


class Hardware(Wire):
    hardware_id: str
    name: str | None = None
    maker_key_sha256: str | None = None
    """Hex, of the SubjectPublicKeyInfo that the maker put in; without it a claim or a secret is the proof."""


class RegisterHardwareRequest(AsAdministrator):
    """Register up to 500 hardware ids; with ``secrets`` each without a key gets one, shown in the answer alone."""

    rpc = "pulse.rpc.provision_api.register_hardware"
    enrolment_profile_id: UUID
    items: list[Hardware] = Field(max_length=MOST_HARDWARE_A_CALL)
    secrets: bool = False


class HardwareSecret(Wire):
    hardware_id: str
    secret: str


class RegisterHardwareReply(Wire):
    registered: int
    secrets: list[HardwareSecret]


class DecideHardwareRequest(AsAdministrator):
    """Let devices in that wait, keep them out, or forget their hardware ids, which may then come again."""

    rpc = "pulse.rpc.provision_api.decide_hardware"
    enrolment_profile_id: UUID
    hardware_ids: list[str] = Field(max_length=MOST_HARDWARE_A_CALL)
    decision: Literal["approve", "reject", "forget"]


class ChangedReply(Wire):
    changed: int


class CreateImportRequest(AsAdministrator):
    """Begin an import; repeated with its id it changes nothing."""

    rpc = "pulse.rpc.provision_api.create_import"
    import_id: UUID
    format: ImportFormat
    enrolment_profile_id: UUID | None = None
    with_tokens: bool = False


class SendImportPartRequest(AsAdministrator):
    """The next bytes of an import; what came before is dropped, what would leave a gap is refused."""

    rpc = "pulse.rpc.provision_api.send_import_part"
    import_id: UUID
    at_byte: int
    data_base64: str


class ActOnImportRequest(AsAdministrator):
    """``start`` when all was sent, ``cancel`` whenever."""

    rpc = "pulse.rpc.provision_api.act_on_import"
    import_id: UUID
    act: Literal["start", "cancel"]


class ImportReply(Wire):
    import_id: UUID
    state: str
    received_bytes: int


class ImportTokensRequest(AsAdministrator):
    """Mint the enrolment tokens of an import's devices, 500 lines a call, once."""

    rpc = "pulse.rpc.provision_api.import_tokens"
    import_id: UUID
    after_line: int = 0


class ImportToken(Wire):
    line: int
    hardware_id: str
    device_id: UUID
    token: str
    expires_at: datetime


class ImportTokensReply(Wire):
    tokens: list[ImportToken]
    more: bool


class SignClaimRequest(Call):
    """Ask the CA for a claim certificate: it names an enrolment profile, and no broker takes it.

    As with ``SignRequest``, the caller has decided that it may be issued.
    """

    rpc = "pulse.rpc.cert_worker.sign_claim"
    tenant_id: UUID
    enrolment_profile_id: UUID
    csr_pem: str
    days: int
    actor_id: str
    request_id: str | None = None


class SignClaimReply(Wire):
    certificate_pem: str
    chain_pem: str
    serial_number: str
    not_before: datetime
    not_after: datetime
