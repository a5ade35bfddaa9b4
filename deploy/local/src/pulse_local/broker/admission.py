"""Decides whether a CONNECT is let in, and under which names."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_local.broker.authn import Refused, authentication_body, judge_answer
from pulse_local.broker.authz import Authorization
from pulse_local.broker.client import Client, describe_certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulse_local.broker.bans import Bans
    from pulse_local.broker.callout import Callout
    from pulse_local.broker.packets import Connect
    from pulse_local.broker.wire import Wire

# Return codes of CONNACK, MQTT 3.1.1 section 3.2.2.3.
UNACCEPTABLE_PROTOCOL = 1
IDENTIFIER_REJECTED = 2
NOT_AUTHORIZED = 5
ZONES = {"mqtts": "devices", "tokens": "device_token", "plain": "default"}


@dataclass(frozen=True)
class Guest:
    client: Client
    authorization: Authorization


@dataclass(frozen=True)
class Rejected:
    code: int
    reason: str


def identify(connect: Connect, wire: Wire) -> Client:
    """Take the names of the certificate; without a common name, what the client sent."""
    certificate = describe_certificate(wire.certificate())
    name = certificate.common_name
    return Client(
        client_id=name or connect.client_id or secrets.token_urlsafe(12),
        username=name or connect.username,
        password=connect.password,
        zone=ZONES[wire.listener],
        peer_host=wire.peer_host,
        peer_port=wire.peer_port,
        certificate=certificate,
    )


class Admission:
    def __init__(
        self,
        *,
        callout: Callout,
        bans: Bans,
        auth_url: str,
        acl_url: str,
        denied_url: str,
        clock: Callable[[], float],
    ) -> None:
        self.callout = callout
        self.bans = bans
        self.auth_url = auth_url
        self.acl_url = acl_url
        self.denied_url = denied_url
        self.clock = clock

    async def admit(self, connect: Connect, wire: Wire) -> Guest | Rejected:
        if not connect.supported:
            return Rejected(UNACCEPTABLE_PROTOCOL, "not MQTT 3.1.1")
        if not connect.readable:
            return Rejected(NOT_AUTHORIZED, "a name or the password is not UTF-8")
        client = identify(connect, wire)
        named = bool(connect.client_id or client.certificate.common_name)
        if not named and not connect.clean:
            return Rejected(IDENTIFIER_REJECTED, "a lasting session needs a client id")
        if self.bans.hits(client):
            return Rejected(NOT_AUTHORIZED, "banned")
        return await self.authenticate(client)

    async def authenticate(self, client: Client) -> Guest | Rejected:
        answer = await self.callout.ask(self.auth_url, authentication_body(client))
        judged = judge_answer(answer, client, self.clock())
        if isinstance(judged, Refused):
            return Rejected(NOT_AUTHORIZED, judged.reason)
        if self.bans.hits(client):
            return Rejected(NOT_AUTHORIZED, "banned while it was being authenticated")
        authorization = Authorization(
            client=client,
            admitted=judged,
            callout=self.callout,
            url=self.acl_url,
            denied_url=self.denied_url,
        )
        return Guest(client, authorization)
