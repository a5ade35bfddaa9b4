"""The broker's request and reply format, and nothing else (measured on EMQX 5.8.9).

Every value of a request is a string, a missing one is ``""``; unknown fields are ignored, so that a broker whose
template names more keeps working.  An answer lets in only as 200, ``application/json`` and ``"result": "allow"``.
"""

from __future__ import annotations

import base64
import binascii
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from mqtt_authz.acl import Act, Action, Rule
from mqtt_authz.domain import Admitted, Connect
from pulse_common.errors import Malformed
from pulse_common.http import parse_model

LARGEST_BYTES = 256 * 1024
"""The longest topic and the longest password fit, escaped."""

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
    asked = parse_model(body, _Authentication)
    return Connect(
        client_id=asked.clientid,
        username=asked.username,
        password=asked.password,
        certificate=_parse_certificate(asked.cert_pem),
        address=asked.peerhost[:60],
    )


def parse_act(body: bytes) -> Act:
    """Read an authorization request.

    Raises:
        Malformed: it is not one.
    """
    asked = parse_model(body, _Authorization)
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


def admitted(session: Admitted) -> JSONResponse:
    """Let a client in with its whole list: what the list does not allow is denied by its last rule.

    ``#`` does not reach topics that begin with ``$``; those still come to us as authorization requests.
    """
    everything_else = {"permission": "deny", "action": "all", "topic": "#"}
    answer: dict[str, object] = {
        "result": "allow",
        "is_superuser": False,
        "client_attrs": dict(session.attributes),
        "acl": [*map(_describe_rule, session.rules), everything_else],
    }
    if session.expires_at is not None:
        answer["expire_at"] = session.expires_at
    return JSONResponse(answer)


def allowed() -> JSONResponse:
    return JSONResponse({"result": "allow"})


def denied() -> JSONResponse:
    """Refuse in the one way that EMQX does not take for "ask somebody else": 200 and an explicit deny (hazard 1)."""
    return JSONResponse({"result": "deny"})


def _describe_rule(rule: Rule) -> dict[str, object]:
    described: dict[str, object] = {
        "permission": "allow",
        "action": rule.action.value,
        "topic": rule.topic,
    }
    if rule.action is Action.PUBLISH:
        described["retain"] = "all" if rule.retained else False
    return described


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
