"""Parses what the management API is sent; anything unknown is refused."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import TYPE_CHECKING

from pulse_local.broker.api_answers import DEFAULT_LIMIT, MAX_LIMIT
from pulse_local.broker.bans import KINDS, Ban
from pulse_local.broker.message import Message
from pulse_local.broker.topics import DELAYED, valid_topic

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_BODY_BYTES = 2 * 1024 * 1024


class BadRequest(Exception):  # noqa: N818 - reads as a sentence where it is raised
    """Answered with 400 BAD_REQUEST and this message."""


async def read_json(request: Request) -> object:
    body = await request.body()
    if len(body) > MAX_BODY_BYTES:
        raise BadRequest("the body is too large")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error


def as_object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadRequest("the body is not an object")
    return value


def text(fields: dict[str, object], name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise BadRequest(f"{name} is missing or not a string")
    return value


def parse_paging(request: Request) -> tuple[int, int]:
    number = request.query_params.get("page", "1")
    limit = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (number.isascii() and number.isdigit() and limit.isascii() and limit.isdigit()):
        raise BadRequest("page and limit are numbers")
    if int(number) < 1 or not 1 <= int(limit) <= MAX_LIMIT:
        raise BadRequest(f"page starts at 1, and limit is 1 to {MAX_LIMIT}")
    return int(number), int(limit)


def parse_names(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadRequest("the body is not a list of client ids")
    return value


def parse_moment(value: object) -> float | None:
    """Read RFC 3339 or Unix seconds; `infinity` and nothing are for ever."""
    if value is None or value == "infinity":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise BadRequest("not a moment in RFC 3339") from error
    if moment.tzinfo is None:
        raise BadRequest("a moment without a time zone")
    return moment.timestamp()


def parse_ban(value: object, now: float) -> Ban:
    fields = as_object(value)
    kind = text(fields, "as")
    if kind not in KINDS:
        raise BadRequest(f"as is not one of {', '.join(sorted(KINDS))}")
    return Ban(
        kind=kind,
        who=text(fields, "who"),
        reason=text(fields, "reason", ""),
        by=text(fields, "by", "mgmt_api"),
        at=parse_moment(fields.get("at")) or now,
        until=parse_moment(fields.get("until")),
    )


def parse_message(value: object) -> Message:
    fields = as_object(value)
    topic = text(fields, "topic")
    if not valid_topic(topic) or topic.startswith(DELAYED):
        raise BadRequest("topic is not valid")
    qos, retain = fields.get("qos", 0), fields.get("retain", False)
    if not isinstance(qos, int) or isinstance(qos, bool) or qos not in {0, 1, 2}:
        raise BadRequest("qos is not 0, 1 or 2")
    if not isinstance(retain, bool):
        raise BadRequest("retain is not a boolean")
    return Message(
        topic=topic,
        payload=parse_payload(text(fields, "payload"), fields.get("payload_encoding", "plain")),
        qos=qos,
        retain=retain,
        publisher=text(fields, "clientid", "mgmt_api"),
    )


def parse_payload(payload: str, encoding: object) -> bytes:
    if encoding == "plain":
        return payload.encode()
    if encoding != "base64":
        raise BadRequest("payload_encoding is not plain or base64")
    try:
        return base64.b64decode(payload, validate=True)
    except ValueError as error:
        raise BadRequest("payload is not base64") from error
