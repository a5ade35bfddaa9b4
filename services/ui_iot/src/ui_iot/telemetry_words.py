"""Why a message was refused, limited, or a command is where it is: codes in words, for people."""

from __future__ import annotations

from typing import Final

_REASONS: Final = {
    "too_large": "It is larger than 64 KiB",
    "not_json": "It is not JSON in UTF-8 (NaN and infinities are none either)",
    "duplicate_key": "A member of an object is there twice",
    "too_deep": "It is nested too deeply",
    "shape": "It is neither an object nor an array of objects",
    "batch_size": "A batch holds from 1 to 100 readings",
    "unknown_member": "A reading has “ts” and “metrics”, and nothing else",
    "ts": "“ts” is neither RFC 3339 with an offset nor whole milliseconds since 1970",
    "ts_in_future": "“ts” is more than 10 minutes ahead: the device's clock may be wrong",
    "ts_too_old": "“ts” is more than 30 days ago",
    "metrics": "“metrics” must be an object with 1 to 64 members",
    "metric_name": "A metric's name must begin with a letter, and have at most 64 of A-Z a-z 0-9 _ . -",
    "metric_value": "A metric's value is none that can be kept: a number too large, a text too long, or nested",
    "command_ack": "An answer to a command needs its “id”; “ok” is true or false, “result” a short text",
    "schema": "It is not what the device's profile asks for",
    "unknown_device": "The device is not there any more",
    "internal": "Pulse could not read it; this was logged",
}
BUCKETS: Final = {
    "device_messages": "Messages of the device",
    "device_bytes": "Bytes of the device",
    "tenant_messages": "Messages of all devices",
    "tenant_bytes": "Bytes of all devices",
    "tenant_month": "Messages of the month",
}
STATES: Final = {
    "asked": "Asked for",
    "sent": "Sent, no answer yet",
    "not_sent": "Not sent",
    "acknowledged": "Done",
    "failed": "Failed",
    "timed_out": "No answer in time",
}


def reason_text(code: str) -> str:
    return _REASONS.get(code, code.replace("_", " "))
