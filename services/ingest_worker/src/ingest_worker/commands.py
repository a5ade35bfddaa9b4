"""Commands to devices: asked for over NATS, answered when the broker has taken them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from pulse_common.errors import Malformed
from pulse_common.events import CommandReply, CommandRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable

log = structlog.get_logger(__name__)

LARGEST_COMMAND_BYTES = 16 * 1024


class Publisher(Protocol):
    def publish(self, topic: str, payload: bytes) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Commands:
    link: Publisher

    async def answer(self, request: CommandRequest) -> CommandReply:
        """Publish one command to its device, and to nowhere else: the topic is made of two UUIDs.

        Raises:
            Malformed: it cannot be said in JSON, or is too long.
            Conflict: the device is not connected (brokers that speak MQTT 5 say so; others keep quiet).
            Unavailable: the broker is away or did not acknowledge; whether the device gets it is not known.
        """
        topic = f"tenant/{request.tenant_id}/device/{request.device_id}/command"
        await self.link.publish(topic, _encode(request))
        log.info(
            "command_sent",
            tenant_id=str(request.tenant_id),
            device_id=str(request.device_id),
            command_id=str(request.command_id),
            actor_id=request.actor_id,
        )
        return CommandReply(command_id=request.command_id)


def _encode(request: CommandRequest) -> bytes:
    content = {
        "id": str(request.command_id),
        "name": request.name,
        "arguments": request.arguments,
    }
    try:
        data = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        raise Malformed("an argument is not a JSON value") from None
    if len(data) > LARGEST_COMMAND_BYTES:
        raise Malformed(f"a command may hold at most {LARGEST_COMMAND_BYTES} bytes")
    return data
