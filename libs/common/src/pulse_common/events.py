"""Every message that crosses NATS, its subject and its shape.  Both sides import this module and nothing of each other.

Event subjects are ``pulse.events.{domain}.{what}``; an event's class knows its own.  Fields may be added, never
renamed or removed: a consumer of the previous release must be able to read what this one sends.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

MetricValue = float | bool | str
RevocationReason = Literal[
    "unspecified",
    "keyCompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
]
"""CRLReason names of RFC 5280 section 5.3.1 that a device certificate may carry here."""

STREAM_EVENTS = "EVENTS"
STREAM_TELEMETRY = "TELEMETRY"
STREAM_DELIVERY = "DELIVERY"
STREAM_REFUSED = "REFUSED"
STREAM_LATE = "LATE"
STREAM_PARKED = "PARKED"
STREAM_AUDIT_HEADS = "AUDIT_HEADS"


class Wire(BaseModel):
    """A message on the wire: JSON, frozen, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_bytes(self) -> bytes:
        return self.model_dump_json().encode()


class Event(Wire):
    """Something that happened, told to whoever it concerns; goes through the outbox."""

    subject: ClassVar[str]

    tenant_id: UUID
    at: datetime


class DeviceCreated(Event):
    subject = "pulse.events.device.created"
    device_id: UUID
    name: str


class DeviceRenamed(Event):
    subject = "pulse.events.device.renamed"
    device_id: UUID
    name: str


class DeviceEnrolled(Event):
    subject = "pulse.events.device.enrolled"
    device_id: UUID
    certificate_id: UUID
    serial_number: str


class DeviceDisabled(Event):
    subject = "pulse.events.device.disabled"
    device_id: UUID


class DeviceTokenMinted(Event):
    """A token for the broker was made; a ban of the device ends with it."""

    subject = "pulse.events.device.token_minted"
    device_id: UUID
    token_id: UUID


class DeviceTokenRevoked(Event):
    """Whoever is connected with the token goes."""

    subject = "pulse.events.device.token_revoked"
    device_id: UUID
    token_id: UUID


class TenantSuspended(Event):
    """From now on nobody of the tenant gets in: drop what is cached of it and cut what is open."""

    subject = "pulse.events.tenant.suspended"


class TenantResumed(Event):
    """The tenant is active again."""

    subject = "pulse.events.tenant.resumed"


class GlassBroken(Event):
    """Two operators took access to a tenant's data without its approval; it must hear of it at once."""

    subject = "pulse.events.operator.break_glass"
    grant_id: UUID
    operator: str
    second_operator: str
    reason: str
    ticket: str
    ends_at: datetime


class CertificateRevoked(Event):
    subject = "pulse.events.cert.revoked"
    device_id: UUID
    certificate_id: UUID
    serial_number: str
    fingerprint_sha256: str
    reason: str
    revoked_at: datetime


class CertificateReleased(Event):
    """A certificate that was on hold counts again."""

    subject = "pulse.events.cert.released"
    device_id: UUID
    certificate_id: UUID
    serial_number: str
    fingerprint_sha256: str


class CertificateUsed(Event):
    """The broker's gate has let a device in with a renewed certificate: what it had before may retire."""

    subject = "pulse.events.device.certificate_used"
    device_id: UUID
    fingerprint_sha256: str


class CertificateSuperseded(Event):
    """A certificate was retired, because the device has connected with the one that renewed it.

    No session needs to be cut: a broker has one session a device, and the newer certificate's has taken it over.
    """

    subject = "pulse.events.cert.superseded"
    device_id: UUID
    certificate_id: UUID
    serial_number: str
    fingerprint_sha256: str


class IssuerRevoked(Event):
    """A CA certificate is revoked: nothing that it ever issued counts any more.  Its tenant is the platform's.

    Brokers check leaves only, so whoever decides about a connection must refuse every certificate of this issuer.
    """

    subject = "pulse.events.issuer.revoked"
    issuer_id: UUID
    fingerprint_sha256: str
    reason: str
    revoked_at: datetime


class CertificateExpiring(Event):
    """A device's newest certificate has less than ``days`` days left; told once for each of 30, 14, 7 and 1."""

    subject = "pulse.events.cert.expiring"
    device_id: UUID
    certificate_id: UUID
    serial_number: str
    not_after: datetime
    days: int


class IssuerExpiring(Event):
    """A CA certificate has less than ``days`` days left; told as for devices.  Its tenant is the platform's."""

    subject = "pulse.events.issuer.expiring"
    issuer_id: UUID
    not_after: datetime
    days: int


class EntitlementsChanged(Event):
    """What a tenant may do has changed; carries all of it, so that a limiter need not ask."""

    subject = "pulse.events.billing.entitlements_changed"
    version: int
    plan: str
    access: Literal["full", "no_new_devices", "read_only"]
    limits: dict[str, int | None]
    """By the names of ``pulse_common.entitlements.LIMITS``; None is no limit."""
    hard_limits: bool
    features: list[str]
    cause: str
    stripe_event_id: str | None = None


class BillingNotice(Event):
    """Something about billing that the tenant's administrators should hear of, once."""

    subject = "pulse.events.billing.notice"
    kind: str
    notice_key: str


class SessionCut(Event):
    """The broker has confirmed that nothing of a revoked device is left."""

    subject = "pulse.events.device.session_cut"
    device_id: UUID
    certificate_id: UUID | None
    seconds: float
    """From the revocation to the confirmation."""


class Reading(Wire):
    """One accepted telemetry message, on ``pulse.telemetry.{t}.{d}`` and ``pulse.live.{t}``."""

    tenant_id: UUID
    device_id: UUID
    message_id: UUID
    ts: datetime
    received_at: datetime
    metrics: dict[str, MetricValue]


class ParkedMessage(Wire):
    """A message on a topic of nobody's, kept on ``pulse.parked.ingest.unknown.unknown`` for people to look at."""

    reason: str
    topic: str
    received_at: datetime
    size_bytes: int
    payload_base64: str
    """The first 64 KiB."""


class RefusedMessage(Wire):
    """A device's message that ingest refused, on ``pulse.refused.{t}`` until it is a dead letter of its tenant."""

    letter_id: UUID
    tenant_id: UUID
    device_id: UUID
    kind: Literal["telemetry", "state", "command/ack"]
    reason: str
    received_at: datetime
    size_bytes: int
    payload_base64: str
    """The first 4 KiB."""
    detail: str | None = None
    """Where in the message, and what, for people."""


class CommandAcknowledgement(Wire):
    """A device's answer to a command, on ``pulse.late.acknowledged.{t}`` until it is in the command's history."""

    tenant_id: UUID
    device_id: UUID
    command_id: UUID
    received_at: datetime
    ok: bool = True
    result: str | None = None


class WebSessionEnded(Wire):
    """A browser session of a person has ended: a hint to look at theirs, on ``SESSION_ENDED_SUBJECT``."""

    subject_id: str


# Beside pulse.live.{tenant}: no tenant is called so.
SESSION_ENDED_SUBJECT = "pulse.live.sessions"


def telemetry_subject(tenant_id: UUID, device_id: UUID) -> str:
    return f"pulse.telemetry.{tenant_id}.{device_id}"


def refused_subject(tenant_id: UUID) -> str:
    return f"pulse.refused.{tenant_id}"


def late_subject(lane: Literal["overflow", "backfill", "acknowledged"], tenant_id: UUID) -> str:
    return f"pulse.late.{lane}.{tenant_id}"


def live_subject(tenant_id: UUID) -> str:
    return f"pulse.live.{tenant_id}"


# Requests and their answers, on pulse.rpc.{service}.{verb} ---------------------------


class Call(Wire):
    """A request; ``rpc`` is its subject."""

    rpc: ClassVar[str]


class SignRequest(Call):
    """Ask the CA for a device certificate.  The caller has already decided that this device may have one."""

    rpc = "pulse.rpc.cert_worker.sign"
    tenant_id: UUID
    device_id: UUID
    csr_pem: str
    actor_id: str
    request_id: str | None = None
    profile: str = "device"
    """Which of cert_worker's profiles decides what the certificate says."""


class RenewRequest(Call):
    """Ask the CA for the next certificate of a device that has one which counts.

    The caller has verified who asks: by the key of the present certificate, whose SHA-256 is ``fingerprint``, or by the
    broker session that the topic belongs to (no ``fingerprint``).  Repeating it with one key is harmless.

    A ``rescue`` is of a certificate that has expired, for the same key: an administrator has approved it.
    """

    rpc = "pulse.rpc.cert_worker.renew"
    tenant_id: UUID
    device_id: UUID
    csr_pem: str
    fingerprint: str | None = None
    request_id: str | None = None
    rescue: bool = False


class AuthoritiesRequest(Call):
    """Ask which CA certificates stand behind what is issued for a profile now."""

    rpc = "pulse.rpc.cert_worker.authorities"
    profile: str


class AuthoritiesReply(Wire):
    chain_pem: str
    """The issuing CA first, then others that devices are to trust (one that follows it), roots last."""
    key_types: frozenset[str] = frozenset()
    """Which keys the profile takes: P-256, P-384, Ed25519, RSA.  Nothing is said by a cert_worker of before."""


class SignReply(Wire):
    certificate_id: UUID
    certificate_pem: str
    chain_pem: str
    serial_number: str
    not_before: datetime
    not_after: datetime


class RevokeRequest(Call):
    """Revoke every valid certificate of a device.

    ``actor_id`` was verified by ui_iot, the one NATS user that may publish on this subject.
    """

    rpc = "pulse.rpc.cert_worker.revoke"
    tenant_id: UUID
    device_id: UUID
    reason: RevocationReason
    actor_id: str
    request_id: str | None = None


class RevokeReply(Wire):
    revoked: int
    revoked_at: datetime


CertificateSelector = Literal["certificate", "device", "profile", "issuer", "key"]
"""What ``selected`` names: a certificate's or device's id, a profile's name, an issuer's id, or the SHA-256 (hex) of a
public key's SubjectPublicKeyInfo."""


class RevokeCertificatesRequest(Call):
    """Revoke, or put on hold, every certificate that ``by`` and ``selected`` name and that has not expired.

    Without a tenant: those of every tenant, which the caller has verified is for an operator to ask.  Repeating it is
    harmless.
    """

    rpc = "pulse.rpc.cert_worker.revoke_certificates"
    tenant_id: UUID | None
    by: CertificateSelector
    selected: str
    reason: RevocationReason | Literal["certificateHold", "cACompromise"]
    actor_id: str
    actor_kind: Literal["user", "operator"] = "user"
    request_id: str | None = None


class ReleaseCertificatesRequest(Call):
    """Let the certificates count again that are on hold; what is revoked stays revoked."""

    rpc = "pulse.rpc.cert_worker.release_certificates"
    tenant_id: UUID | None
    by: CertificateSelector
    selected: str
    actor_id: str
    actor_kind: Literal["user", "operator"] = "user"
    request_id: str | None = None


class ChangeCertificatesReply(Wire):
    """How many certificates of how many tenants were changed by this very request."""

    certificates: int
    tenants: int
    at: datetime


class RevokeIssuerRequest(Call):
    """Revoke a CA certificate itself, for operators: it stops issuing, and nothing that it issued counts any more."""

    rpc = "pulse.rpc.cert_worker.revoke_issuer"
    issuer_id: UUID
    reason: Literal["unspecified", "cACompromise", "superseded", "cessationOfOperation"]
    actor_id: str
    request_id: str | None = None


class RevokeIssuerReply(Wire):
    revoked_at: datetime


class CreateDeviceRequest(Call):
    """Create a device and mint its first enrolment token, as the bearer of ``access_token``.

    With a ``device_id`` it may be repeated: a device that it made before is not made again, and gets another token.
    """

    rpc = "pulse.rpc.provision_api.create_device"
    access_token: str
    name: str
    request_id: str | None = None
    device_id: UUID | None = None
    profile_id: UUID | None = None
    """The device profile that it gets."""


class CreateDeviceReply(Wire):
    device_id: UUID
    name: str
    token: str
    expires_at: datetime
    created_at: datetime | None = None
    """None from a provision_api of the previous release."""


class RenameDeviceRequest(Call):
    """Give a device another name, as the bearer of ``access_token``.

    ``version`` is the one that the caller has seen; refused when it is no longer the current one.  None is for whoever
    accepts overwriting.
    """

    rpc = "pulse.rpc.provision_api.rename_device"
    access_token: str
    device_id: UUID
    name: str
    version: int | None
    request_id: str | None = None


class RenameDeviceReply(Wire):
    device_id: UUID
    name: str
    version: int


class MintTokenRequest(Call):
    """Mint another enrolment token for a device, as the bearer of ``access_token``."""

    rpc = "pulse.rpc.provision_api.mint_token"
    access_token: str
    device_id: UUID
    request_id: str | None = None


class MintTokenReply(Wire):
    token: str
    expires_at: datetime


Credential = Literal["certificate", "token"]


class DryRunRequest(Call):
    """Ask the broker's gate how it would decide, without anybody connecting.

    ``tenant_id`` was verified by ui_iot, the one NATS user that may publish on this subject.
    """

    rpc = "pulse.rpc.mqtt_authz.dry_run"
    tenant_id: UUID
    device_id: UUID
    action: Literal["connect", "publish", "subscribe"]
    topic: str = ""
    qos: Literal[0, 1, 2] = 0
    retain: bool = False
    at: datetime | None = None
    """When; None is now.  Dates are judged by it, and states as they are now."""
    credential: Credential | Literal["any"] = "any"
    """What the device would show; ``any`` is the one that lets it in, the certificate before the token."""


class DryRunReply(Wire):
    """``reason`` is ``allowed`` or why not; ``rule`` is the one that decides, of the rules that the device has."""

    allowed: bool
    reason: str
    rule: str | None = None
    serial_number: str | None = None
    """Of the certificate; of a token, its id."""
    credential: Credential | None = None
    """None from a gate of the previous release."""


class CommandRequest(Call):
    """Send one command to a device, now; answered when the broker has taken it."""

    rpc = "pulse.rpc.ingest_worker.command"
    tenant_id: UUID
    device_id: UUID
    command_id: UUID
    name: str
    arguments: dict[str, MetricValue]
    actor_id: str
    expires_in_seconds: int = 60
    """After that the broker drops it, the device must not obey it, and no answer is waited for."""


class CommandReply(Wire):
    command_id: UUID


class BillingRequest(Call):
    """Show a tenant's plan, usage and invoices.

    As with every call below, the caller was verified by ui_iot, the one NATS user that may publish on these subjects.
    """

    rpc = "pulse.rpc.billing_webhooks.overview"
    tenant_id: UUID
    with_invoices: bool = False


class Invoice(Wire):
    invoice_id: str
    status: str
    created_at: datetime
    amount_due: int
    """In the currency's smallest unit."""
    currency: str
    hosted_url: str | None


class Usage(Wire):
    name: str
    used: int | None
    limit: int | None
    """None is no limit."""


class BillingReply(Wire):
    mode: Literal["stripe", "none"]
    plan: str
    plan_name: str
    access: Literal["full", "no_new_devices", "read_only"]
    status: str | None
    """The subscription's, in Stripe's words; None without one."""
    unpaid_since: datetime | None
    current_period_end: datetime | None
    cancels_at_period_end: bool
    usage: list[Usage]
    features: list[str]
    offers: list[str]
    """Plans that can be bought."""
    has_customer: bool
    invoices: list[Invoice] | None
    """None when they were not asked for or Stripe did not answer."""
    version: int = 0
    cause: str | None = None
    """What made the limits what they are: a type of Stripe's, or ``override``, ``usage``, ``time``, ``reconciler``."""
    stripe_event_id: str | None = None
    applied_at: datetime | None = None


class BillingLinkRequest(Call):
    """Make a link to Stripe's Checkout (with a ``plan``) or to the Customer Portal (without)."""

    rpc = "pulse.rpc.billing_webhooks.link"
    tenant_id: UUID
    actor_id: str
    plan: str | None
    request_id: str | None = None


class BillingLinkReply(Wire):
    url: str


class BillingHistoryRequest(Call):
    """For operators: a tenant's subscriptions, Stripe events and every limit that was ever applied."""

    rpc = "pulse.rpc.billing_webhooks.history"
    tenant_id: UUID
    actor_id: str


class StripeEventSeen(Wire):
    event_id: str
    event_type: str
    created_at: datetime
    handled_at: datetime
    outcome: str
    source: str
    replays: int


class SubscriptionSeen(Wire):
    subscription_id: str
    status: str
    plan: str | None
    unpaid_since: datetime | None
    current_period_end: datetime | None
    stripe_event_id: str | None


class EntitlementsApplied(Wire):
    version: int
    plan: str
    access: str
    limits: dict[str, int | None]
    cause: str
    stripe_event_id: str | None
    applied_at: datetime


class BillingHistoryReply(Wire):
    customer_id: str | None
    subscriptions: list[SubscriptionSeen]
    stripe_events: list[StripeEventSeen]
    entitlements: list[EntitlementsApplied]


class ReplayRequest(Call):
    """For operators: handle one Stripe event again, as Stripe has it now."""

    rpc = "pulse.rpc.billing_webhooks.replay"
    stripe_event_id: str
    actor_id: str
    reason: str


class ReplayReply(Wire):
    outcome: str


class OverrideRequest(Call):
    """For operators: grant a tenant another limit than its plan's, until ``expires_at``."""

    rpc = "pulse.rpc.billing_webhooks.override"
    tenant_id: UUID
    limit_name: str
    amount: int | None
    """None is no limit."""
    expires_at: datetime | None
    actor_id: str
    reason: str


class OverrideReply(Wire):
    version: int


class ReconcileRequest(Call):
    """For operators: compare Stripe, the database and the limits now, and repair what differs."""

    rpc = "pulse.rpc.billing_webhooks.reconcile"
    actor_id: str


class Finding(Wire):
    kind: str
    tenant_id: UUID | None
    object_id: str | None


class ReconcileReply(Wire):
    checked: int
    backfilled: int
    findings: list[Finding]
