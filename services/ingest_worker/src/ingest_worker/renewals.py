"""Carries a device's request for its next certificate to the CA, and the certificate back over the same session.

So with the authorities that a device says it has, and those it is to have.  The topic says whose request it is: the
broker lets a device publish on its own alone, after TLS has seen its present certificate.

A request is acknowledged at once and answered when the CA has answered, so that a slow CA never holds up telemetry;
what is lost on the way the device asks for again, and gets the same certificate.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Protocol

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pulse_common import events, events_rollover
from pulse_common.errors import AppError, Malformed
from pulse_common.events_rollover import MOST_AUTHORITIES, Fingerprint
from pulse_common.ids import parse_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from ingest_worker.domain import Inbound
    from pulse_common.bus import Bus

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 64
"""More are dropped: each device asks again by itself, later and at a moment of its own."""
MOST_BYTES = 16 * 1024
SIGN_SECONDS = 10.0


class Line(Protocol):
    def publish(self, topic: str, payload: bytes) -> Awaitable[None]: ...


class RenewBody(BaseModel):
    """``csr`` asks for a certificate; ``trust``, SHA-256 of the authorities at hand, for those to have."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    csr: str | None = Field(default=None, max_length=MOST_BYTES)
    trust: tuple[Fingerprint, ...] | None = Field(default=None, max_length=MOST_AUTHORITIES)

    @model_validator(mode="after")
    def _asks_one_thing(self) -> RenewBody:
        if (self.csr is None) == (self.trust is None):
            raise ValueError("one of csr and trust")
        return self


class Renewals:
    """Takes the messages on ``cert/renew`` and leaves all others to ``otherwise``."""

    def __init__(self, bus: Bus, otherwise: Callable[[Inbound], Awaitable[None]]) -> None:
        self._bus = bus
        self._otherwise = otherwise
        self._link: Line | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def answer_over(self, link: Line) -> None:
        self._link = link

    async def process(self, message: Inbound) -> None:
        """Return once the message may be acknowledged."""
        whose = device_of(message.topic)
        if whose is None:
            await self._otherwise(message)
        elif len(self._tasks) >= MOST_AT_ONCE:
            log.warning("renewal_dropped", device_id=str(whose[1]))
        else:
            task = asyncio.create_task(self._renew(*whose, message.payload))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _renew(self, tenant_id: UUID, device_id: UUID, payload: bytes) -> None:
        try:
            answer = await self._ask(tenant_id, device_id, payload)
        except AppError as refusal:
            log.info("renewal_refused", device_id=str(device_id), code=refusal.code)
            answer = {"error": {"code": refusal.code, "detail": refusal.message}}
        except Exception:
            log.exception("renewal_crashed", device_id=str(device_id))
            return
        if self._link is None:
            return
        topic = f"tenant/{tenant_id}/device/{device_id}/cert/issued"
        try:
            await self._link.publish(topic, json.dumps(answer, separators=(",", ":")).encode())
        except AppError as error:
            # It has gone, or the broker has: it asks again.
            log.info("renewal_not_delivered", device_id=str(device_id), reason=error.message)

    async def _ask(self, tenant_id: UUID, device_id: UUID, payload: bytes) -> dict[str, object]:
        body = parse_body(payload)
        if body.trust is not None:
            return await self._trust(tenant_id, device_id, body.trust)
        assert body.csr is not None, "the body's own rule"
        request = events.RenewRequest(tenant_id=tenant_id, device_id=device_id, csr_pem=body.csr)
        signed = await self._bus.call(request, events.SignReply, seconds=SIGN_SECONDS)
        log.info("device_renewed", device_id=str(device_id), serial=signed.serial_number)
        return {
            "certificate": signed.certificate_pem,
            "chain": signed.chain_pem,
            "serial_number": signed.serial_number,
            "not_after": signed.not_after.isoformat(),
        }

    async def _trust(
        self, tenant_id: UUID, device_id: UUID, held: tuple[str, ...]
    ) -> dict[str, object]:
        """Carry what the device trusts to the CA, and back what it is to trust and when to renew."""
        request = events_rollover.TrustRequest(tenant_id=tenant_id, device_id=device_id, held=held)
        reply = await self._bus.call(request, events_rollover.TrustReply, seconds=SIGN_SECONDS)
        return {
            "trust": {
                "authorities": reply.authorities_pem,
                "renew_in_seconds": reply.renew_in_seconds,
            }
        }


def device_of(topic: str) -> tuple[UUID, UUID] | None:
    """Read ``tenant/{t}/device/{d}/cert/renew``; ids in their canonical form only."""
    match topic.split("/"):
        case ["tenant", tenant, "device", device, "cert", "renew"]:
            try:
                return parse_id(tenant, "tenant"), parse_id(device, "device")
            except Malformed:
                return None
        case _:
            return None


def parse_body(payload: bytes) -> RenewBody:
    """Return what ``{"csr": "<PEM>"}`` or ``{"trust": ["<SHA-256>", …]}`` asks.

    Raises:
        Malformed: it is anything else.
    """
    if len(payload) > MOST_BYTES:
        raise Malformed(f"a request may hold at most {MOST_BYTES} bytes")
    try:
        return RenewBody.model_validate_json(payload)
    except (ValidationError, ValueError, RecursionError):
        raise Malformed('a request is {"csr": "<PEM>"} or {"trust": ["<SHA-256>"]}') from None
