"""The broker's request and reply format, and nothing else (measured on EMQX 5.8.9).

Every value of a request is a string, a missing one is ``""``; unknown fields are ignored, so that a broker whose
template names more keeps working.  An answer lets in only as 200, ``application/json`` and ``"result": "allow"``.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from mqtt_authz.acl import Act, Action, Rule
from mqtt_authz.domain import Admitted, Connect, admitted_device
from pulse_common.errors import Malformed
from pulse_common.identity import TenantId

LARGEST_BYTES = 256 * 1024
"""The longest topic and the longest password fit, escaped."""

M = TypeVar("M", bound=BaseModel)
_QOS: dict[str, Literal[0, 1, 2]] = {"0": 0, "1": 1, "2": 2}
_RETAIN = {"true": True, "false": False}


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Authentication(_Request):
    clientid: str = ""
    username: str = ""
    password: str = Field("", repr=False)
    cert_pem: str = Field("", repr=False)
    peerhost: str = ""
    zone: str = ""


class _Authorization(_Request):
    clientid: str = ""
    username: str = ""
    tenant: str = ""
    action: str = ""
    topic: str = ""
    qos: str = ""
    retain: str = ""
    peerhost: str = ""


def parse_connect(body: bytes) -> Connect:
    """Read an authentication request.

    Raises:
        Malformed: it is not one.
    """
    asked = _parse(body, _Authentication)
    return Connect(
        client_id=asked.clientid,
        username=asked.username,
        password=asked.password,
        certificate=_parse_certificate(asked.cert_pem),
        address=asked.peerhost[:60],
        zone=asked.zone,
    )


def parse_act(body: bytes) -> Act:
    """Read an authorization request.

    Raises:
        Malformed: it is not one.
    """
    _refuse_repeats(body)
    asked = _parse(body, _Authorization)
    try:
        return Act(
            client_id=asked.clientid,
            username=asked.username,
            tenant=asked.tenant,
            action=Action(asked.action),
            topic=asked.topic,
            qos=_QOS[asked.qos],
            retain=_RETAIN[asked.retain],
            address=asked.peerhost[:60],
        )
    except (ValueError, KeyError) as error:
        raise Malformed("action, qos or retain is not one of the broker's words") from error


def admitted(session: Admitted) -> Response:
    """Let a client in with its whole list: what the list does not allow is denied by its last rule.

    ``#`` does not reach topics that begin with ``$``; those still come to us as authorization requests.
    """
    if session.device is None or session.by_token:
        return _json(_describe(session))
    whose = session.device
    # All devices' answers differ in these four places only, and encoding one anew costs as much as judging it.
    text = (
        _DEVICE_ANSWER.replace(_SOME_TENANT, str(whose.tenant))
        .replace(_SOME_DEVICE, str(whose.device))
        .replace(_SOME_SERIAL, whose.serial_number)
        .replace(_SOME_END, str(session.expires_at))
    )
    return Response(text, media_type="application/json")


def allowed() -> Response:
    return _json({"result": "allow"})


def denied() -> Response:
    """Refuse in the one way that EMQX does not take for "ask somebody else": 200 and an explicit deny (hazard 1)."""
    return _json({"result": "deny"})


def _json(value: object) -> Response:
    return Response(json.dumps(value, separators=(",", ":")), media_type="application/json")


def _describe(session: Admitted) -> dict[str, object]:
    everything_else = {"permission": "deny", "action": "all", "topic": "#"}
    answer: dict[str, object] = {
        "result": "allow",
        "is_superuser": False,
        "client_attrs": dict(session.attributes),
        "acl": [*map(_describe_rule, session.rules), everything_else],
    }
    if session.expires_at is not None:
        answer["expire_at"] = session.expires_at
    return answer


def _describe_rule(rule: Rule) -> dict[str, object]:
    described: dict[str, object] = {
        "permission": "allow",
        "action": rule.action.value,
        "topic": rule.topic,
    }
    if rule.action is Action.PUBLISH:
        described["retain"] = "all" if rule.retained else False
    return described


# Names that no other part of the answer contains; what replaces them is hexadecimal digits and dashes, or a number.
_SOME_TENANT = "00000000-0000-4000-8000-00000000000a"
_SOME_DEVICE = "00000000-0000-4000-8000-00000000000b"
_SOME_SERIAL = "0123456789abcdef"
_SOME_END = "99999999999"
_DEVICE_ANSWER = json.dumps(
    _describe(
        admitted_device(
            TenantId(UUID(_SOME_TENANT)), UUID(_SOME_DEVICE), _SOME_SERIAL, int(_SOME_END)
        )
    ),
    separators=(",", ":"),
)


def _parse(body: bytes, model: type[M]) -> M:
    """Read one of the broker's requests: flat, so that pydantic's own parser may do it, at a third of the cost."""
    if b"\\u0000" in body:
        raise Malformed("NUL in a string")  # what our own JSON reader refuses elsewhere
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise Malformed("the body is not a request of the broker's") from error


def _refuse_repeats(body: bytes) -> None:
    """Let no topic name another tenant, should a template of the broker's ever put one into the text as it is."""
    try:
        json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Malformed("the body is not a request of the broker's") from error


def _unique(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member is repeated")


def _parse_certificate(text: str) -> bytes | None:
    """Decode ``cert_pem``: the DER in base64, without PEM lines; None only when there is no certificate at all."""
    if text == "":
        return None
    try:
        der = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("cert_pem is not base64") from error
    if not der:
        raise Malformed("cert_pem holds nothing")
    return der
