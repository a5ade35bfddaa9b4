"""Commands that arrive for this device: JSON with an id; each is acknowledged as received."""

from __future__ import annotations

import json

LONGEST_ID = 128


class CommandError(ValueError):
    """Why a command is not acknowledged."""


def parse_command_id(payload: bytes) -> str | int:
    try:
        command = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise CommandError("it is not JSON") from error
    if not isinstance(command, dict):
        raise CommandError("it is not an object")
    found = command.get("id")
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    if not isinstance(found, str) or not 0 < len(found) <= LONGEST_ID:
        raise CommandError("it has no usable id")
    return found


def acknowledgement(command_id: str | int) -> bytes:
    return json.dumps({"id": command_id, "status": "received"}).encode()
