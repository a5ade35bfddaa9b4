"""The JSON API about the broker's gate: why a device was refused, how it would be decided, what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common import events
from pulse_common.http import read_model
from ui_iot import finding_store, findings, gate_models, gate_store, people
from ui_iot.api import active_tenant, as_json, find_device
from ui_iot.conditional import answer
from ui_iot.gate_words import reason_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database
    from ui_iot.findings import Finding

DENIALS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Found:
    """``unchecked_keys`` counts the certificates whose keys the CA has still to look at."""

    findings: list[Finding]
    unchecked_keys: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GateApi:
    db: Database
    bus: Bus
    clock: Clock

    async def denials(self, request: Request, principal: Principal) -> Response:
        device = await find_device(self.db, request, principal)
        shown = [
            gate_models.DenialAnswer.model_validate(
                {
                    "at": one.at,
                    "action": one.action,
                    "reason": one.reason,
                    "text": reason_text(one.reason),
                    "rule": one.rule,
                    "topic": one.topic,
                    "serial_number": one.serial_number,
                    "address": one.address,
                    "times": one.times,
                }
            )
            for one in await self.denials_of(principal, device.id, DENIALS_SHOWN)
        ]
        return answer(request, gate_models.DenialsAnswer(denials=shown))

    async def dry_run(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, gate_models.DryRunBody)
        device = await find_device(self.db, request, principal)
        reply = await self.ask(principal, device.id, body)
        shown = gate_models.DryRunAnswer(
            allowed=reply.allowed,
            reason=reply.reason,
            text=reason_text(reply.reason),
            rule=reply.rule,
            serial_number=reply.serial_number,
            credential=reply.credential,
        )
        return as_json(shown, 200)

    async def findings(self, request: Request, principal: Principal) -> Response:
        found = await self.find(principal)
        shown = [
            gate_models.FindingAnswer(
                check=one.check,
                device_id=one.device_id,
                device_name=one.device_name,
                text=one.text,
                act=one.act,
            )
            for one in found.findings
        ]
        listed = gate_models.FindingsAnswer(findings=shown, unchecked_keys=found.unchecked_keys)
        return answer(request, listed)

    async def denials_of(
        self, principal: Principal, device_id: UUID, limit: int
    ) -> Sequence[gate_store.Denial]:
        async with active_tenant(self.db, principal) as tx:
            return await gate_store.recent_denials(tx, device_id, limit)

    async def ask(
        self, principal: Principal, device_id: UUID, body: gate_models.DryRunBody
    ) -> events.DryRunReply:
        """Ask the gate itself, so that the answer is its own.

        Raises:
            Unavailable: it did not answer.
        """
        call = events.DryRunRequest(
            tenant_id=people.tenant_of(principal),
            device_id=device_id,
            action=body.action,
            topic=body.topic,
            qos=body.qos,
            retain=body.retain,
            at=body.at,
            credential=body.credential,
        )
        return await self.bus.call(call, events.DryRunReply)

    async def find(self, principal: Principal) -> Found:
        async with active_tenant(self.db, principal) as tx:
            found = await finding_store.find_faults(tx, self.clock())
            unchecked = await finding_store.count_unchecked_keys(tx)
        return Found(findings.describe(found), unchecked)
