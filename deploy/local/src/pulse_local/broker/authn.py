"""The authentication call at CONNECT: its body, and which answers let a client in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_local.broker.acl import BadRule, Rule, parse_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulse_local.broker.callout import Answer
    from pulse_local.broker.client import Client

OK = 200
NO_CONTENT = 204
LATEST_SECOND = 10**11  # a larger number is a time in milliseconds


@dataclass(frozen=True, kw_only=True)
class Admitted:
    rules: tuple[Rule, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    expires_at: int | None = None
    superuser: bool = False

    def attribute(self, name: str) -> str:
        return dict(self.attributes).get(name, "")


@dataclass(frozen=True)
class Refused:
    reason: str


def authentication_body(client: Client) -> dict[str, str]:
    return {
        "zone": client.zone,
        "username": client.username,
        "clientid": client.client_id,
        "password": client.password,
        "peerhost": client.peer_host,
        "cert_common_name": client.certificate.common_name,
        "cert_subject": client.certificate.subject,
        "cert_pem": client.certificate.pem,
    }


def judge_answer(answer: Answer | None, client: Client, now: float) -> Admitted | Refused:
    if answer is None:
        return Refused("no answer")
    if answer.status == NO_CONTENT:
        return Admitted()
    if answer.status != OK:
        return Refused(f"status {answer.status}")
    if answer.content_type != "application/json":
        return Refused("answer is not application/json")
    fields = answer.parse()
    if fields is None:
        return Refused("answer is not a JSON object")
    return judge_fields(fields, client, now)


def judge_fields(fields: dict[str, object], client: Client, now: float) -> Admitted | Refused:
    if fields.get("result") != "allow":
        return Refused("result is not allow")
    attributes = parse_attributes(fields.get("client_attrs", {}))
    if attributes is None:
        return Refused("client_attrs holds something other than strings")
    try:
        rules = parse_rules(fields.get("acl", []), placeholders(client, attributes))
    except BadRule as error:
        return Refused(str(error))
    expires_at = None
    if "expire_at" in fields:
        expires_at = parse_expiry(fields["expire_at"], now)
        if expires_at is None:
            return Refused("expire_at is not a coming second")
    return Admitted(
        rules=rules,
        attributes=tuple(attributes.items()),
        expires_at=expires_at,
        superuser=fields.get("is_superuser") is True,
    )


def parse_attributes(value: object) -> dict[str, str] | None:
    if not isinstance(value, dict):
        return None
    if not all(isinstance(item, str) for item in value.values()):
        return None
    return value


def parse_expiry(value: object, now: float) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if now < value < LATEST_SECOND else None


def placeholders(client: Client, attributes: Mapping[str, str]) -> dict[str, str]:
    return {
        "clientid": client.client_id,
        "username": client.username,
        "zone": client.zone,
        "cert_common_name": client.certificate.common_name,
    } | {f"client_attrs.{name}": value for name, value in attributes.items()}
