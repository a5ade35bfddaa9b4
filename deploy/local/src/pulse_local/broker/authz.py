"""Decides one publish or subscribe: superuser, the access list, then the HTTP call, cached."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from pulse_local.broker.acl import Act, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulse_local.broker.authn import Admitted
    from pulse_local.broker.callout import Answer, Callout
    from pulse_local.broker.client import Client

OK = 200
NO_CONTENT = 204
CACHE_SIZE = 32
CACHE_SECONDS = 60.0
ACCESS = {"subscribe": "1", "publish": "2"}


def authorization_body(client: Client, admitted: Admitted, act: Act) -> dict[str, str]:
    return {
        "topic": act.topic,
        "action": act.action,
        "access": ACCESS[act.action],
        "qos": str(act.qos),
        "retain": "true" if act.retain else "false",
        "clientid": client.client_id,
        "username": client.username,
        "peerhost": client.peer_host,
        "proto_name": "mqtt",
        "mountpoint": "",
        "tenant": admitted.attribute("tenant"),
        "cert_common_name": client.certificate.common_name,
        "cert_subject": client.certificate.subject,
        "cert_pem": "",
    }


def allows(answer: Answer | None) -> bool:
    """Say no to everything that is not a yes: `no_match = deny`."""
    if answer is None:
        return False
    if answer.status == NO_CONTENT:
        return True
    if answer.status != OK or answer.content_type not in {"", "application/json"}:
        return False
    fields = answer.parse()
    return fields is not None and fields.get("result") == "allow"


class Authorization:
    """What one connection may do. Denials are cached like permissions, as in EMQX."""

    def __init__(
        self,
        *,
        client: Client,
        admitted: Admitted,
        callout: Callout,
        url: str,
        denied_url: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.admitted = admitted
        self.callout = callout
        self.url = url
        self.denied_url = denied_url
        self.monotonic = monotonic
        self.cache: OrderedDict[Act, tuple[float, bool]] = OrderedDict()
        self.telling: asyncio.Task[object] | None = None

    async def permits(self, act: Act) -> bool:
        if self.admitted.superuser:
            return True
        verdict = judge(self.admitted.rules, act)
        if verdict is Verdict.DENY:
            self.tell(act)
        if verdict is not Verdict.NO_MATCH:
            return verdict is Verdict.ALLOW
        known = self.cache.get(act)
        if known is not None and known[0] > self.monotonic():
            return known[1]
        return await self.ask(act)

    def tell(self, act: Act) -> None:
        """Report a denial that nobody was asked about, as EMQX's rule engine does (deploy/emqx/denials.conf).

        One at a time, without waiting for it: a denial ends the connection, so there is hardly ever a second one.
        """
        if self.telling is None or self.telling.done():
            body = authorization_body(self.client, self.admitted, act)
            self.telling = asyncio.create_task(self.callout.ask(self.denied_url, body))

    async def ask(self, act: Act) -> bool:
        body = authorization_body(self.client, self.admitted, act)
        allowed = allows(await self.callout.ask(self.url, body))
        self.cache[act] = (self.monotonic() + CACHE_SECONDS, allowed)
        while len(self.cache) > CACHE_SIZE:
            self.cache.popitem(last=False)
        return allowed

    def forget(self) -> None:
        self.cache.clear()
