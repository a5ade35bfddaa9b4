"""The pages about the broker's gate: a device's refusals with the dry run, and the fleet's findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pulse_common.errors import Malformed, NotFound, Unavailable
from pulse_common.ids import parse_id
from ui_iot import gate_models, people, rendering, store
from ui_iot.gate_words import reason_text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.identity import Principal
    from ui_iot.domain import Device
    from ui_iot.gate_api import GateApi

DENIALS_SHOWN = 50
_QOS = {"0": 0, "1": 1, "2": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePages:
    api: GateApi

    async def refusals(self, request: Request, principal: Principal) -> Response:
        """Show the refusals and, when the address names an action, how it would be decided."""
        device = await self._device(request, principal)
        denials = await self.api.denials_of(principal, device.id, DENIALS_SHOWN)
        given = request.query_params
        asked = {
            name: given.get(name, "") for name in ("action", "topic", "qos", "retain", "credential")
        }
        context: dict[str, object] = {
            "device": {"id": str(device.id), "name": device.name},
            "denials": [{"denial": one, "text": reason_text(one.reason)} for one in denials],
            "asked": asked,
            "verdict": None,
            "error": None,
        }
        if asked["action"]:
            context |= await self._verdict(principal, device, asked)
        return rendering.page(request, "refusals.html", context)

    async def findings(self, request: Request, principal: Principal) -> Response:
        async with self.api.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
        found = await self.api.find(principal)
        context = {"findings": found.findings, "unchecked_keys": found.unchecked_keys}
        return rendering.page(request, "findings.html", context)

    async def _verdict(
        self, principal: Principal, device: Device, asked: dict[str, str]
    ) -> dict[str, object]:
        try:
            body = gate_models.DryRunBody.model_validate(
                {
                    "action": asked["action"],
                    "topic": asked["topic"],
                    "qos": _QOS.get(asked["qos"] or "0"),
                    "retain": asked["retain"] == "on",
                    "credential": asked["credential"] or "any",
                }
            )
            if "\x00" in body.topic:
                return {"error": "A topic cannot hold that character."}
            reply = await self.api.ask(principal, device.id, body)
        except ValidationError:
            return {
                "error": "Choose an action, a quality of service and a topic of at most 1000 characters."
            }
        except Unavailable:
            return {"error": "The broker's gate did not answer. Try again in a moment."}
        text = reason_text(reply.reason)
        return {
            "verdict": {
                "allowed": reply.allowed,
                "text": text,
                "rule": reply.rule,
                "credential": reply.credential,
            }
        }

    async def _device(self, request: Request, principal: Principal) -> Device:
        try:
            device_id = parse_id(request.path_params["device_id"], "device_id")
        except Malformed:
            raise NotFound("no such device") from None
        async with self.api.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            device = await store.find_device(tx, device_id)
        if device is None:
            raise NotFound("no such device")
        return device
