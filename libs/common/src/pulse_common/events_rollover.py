"""What crosses NATS about one issuing CA following another, and about what devices trust.

Operators' requests come from ui_iot, which has verified who asks and may (``actor_id``); nobody else may publish them.
Whose trust a device reports was verified by the topic that it published on, or by its TLS certificate.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from pulse_common.events import Call, Event, Wire

RolloverState = Literal[
    "planned",
    "distributing",
    "dual_trust",
    "issuing_from_new",
    "draining",
    "retired",
    "cancelled",
]
MOST_AUTHORITIES = 64
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class RolloverChanged(Event):
    """A roll-over came into ``state``, forward or back.  Nothing that counted ceases to count by it."""

    subject = "pulse.events.issuer.rollover_changed"
    rollover_id: UUID
    profile: str
    old_issuer_id: UUID
    new_issuer_id: UUID
    state: RolloverState


class IssuerActivated(Event):
    """A CA that stood by issues from now on, where none did."""

    subject = "pulse.events.issuer.activated"
    issuer_id: UUID
    profile: str


class IssuerRetired(Event):
    """A CA has done its work: nothing that it issued is in use, and nothing of it counts any more."""

    subject = "pulse.events.issuer.retired"
    issuer_id: UUID


class Condition(Wire):
    """Something that must hold before the next step; ``found`` says what was seen."""

    name: str
    met: bool
    found: str


class RolloverSeen(Wire):
    """A roll-over, how far the fleet is, and what the next step waits for."""

    rollover_id: UUID
    profile: str
    old_issuer_id: UUID
    new_issuer_id: UUID
    state: RolloverState
    least_share: float
    drain_days: int
    draining_at: datetime | None
    created_at: datetime
    changed_at: datetime
    devices: int
    """Active ones that have a certificate which counts."""
    trusting: int
    """Those that said they have the new authority, or hold a certificate of it."""
    holding: int
    """Those that hold a certificate of the new authority."""
    left: int
    """Certificates of the old authority that still count."""
    next_state: RolloverState | None
    previous_state: RolloverState | None
    conditions: tuple[Condition, ...]


class IssuerSeen(Wire):
    issuer_id: UUID
    profile: str
    status: Literal["standby", "active", "draining", "retired", "revoked"]
    not_after: datetime
    fingerprint_sha256: str


class RolloversRequest(Call):
    """Ask for the issuing CAs and their roll-overs, newest first."""

    rpc = "pulse.rpc.cert_worker.rollovers"


class RolloversReply(Wire):
    issuers: tuple[IssuerSeen, ...]
    rollovers: tuple[RolloverSeen, ...]


class PlanRolloverRequest(Call):
    """Plan that ``new_issuer_id``, which stands by, follows the CA that issues for its profile."""

    rpc = "pulse.rpc.cert_worker.plan_rollover"
    new_issuer_id: UUID
    least_share: float = Field(default=0.95, ge=0, le=1)
    drain_days: int = Field(default=30, ge=0, le=366)
    actor_id: str
    actor_kind: Literal["operator", "service"] = "operator"
    reason: str | None = None
    request_id: str | None = None


class StepRolloverRequest(Call):
    """Take the next step, or take the last one back; asked again it does nothing, since it says where from."""

    rpc = "pulse.rpc.cert_worker.step_rollover"
    rollover_id: UUID
    from_state: RolloverState
    direction: Literal["forward", "back"]
    broker_seen_to: bool = False
    """Somebody has made sure that the broker trusts the new authority, which could not be proven from here."""
    actor_id: str
    actor_kind: Literal["operator", "service"] = "operator"
    reason: str | None = None
    request_id: str | None = None


class ActivateIssuerRequest(Call):
    """Let a CA that stands by issue, where none does: its predecessor was revoked."""

    rpc = "pulse.rpc.cert_worker.activate_issuer"
    issuer_id: UUID
    actor_id: str
    actor_kind: Literal["operator", "service"] = "operator"
    reason: str | None = None
    request_id: str | None = None


class IssuerReply(Wire):
    issuer: IssuerSeen


class TrustRequest(Call):
    """A device says which authorities it has, and asks which it is to have and whether to renew early.

    ``fingerprint`` is that of the certificate it showed in TLS, when it asks over HTTPS.
    """

    rpc = "pulse.rpc.cert_worker.trust"
    tenant_id: UUID
    device_id: UUID
    held: tuple[Fingerprint, ...] = Field(max_length=MOST_AUTHORITIES)
    fingerprint: str | None = None


class TrustReply(Wire):
    authorities_pem: str
    """Every issuing CA that counts for the device's profile, then their roots."""
    renew_in_seconds: int | None
    """When to renew, if earlier than by the certificate's own lifetime; from now, since devices' clocks differ."""
