"""How the gate would decide, asked without anybody connecting: the same rules on the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mqtt_authz import acl, domain, store, token_store, tokens
from mqtt_authz.reasons import Denied, Reason
from pulse_common import events
from pulse_common.errors import NotFound
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from datetime import datetime

    from mqtt_authz.store import Credentials
    from mqtt_authz.tokens import TokenStanding
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    database: Database
    clock: Clock

    async def answer(self, asked: events.DryRunRequest) -> events.DryRunReply:
        """Judge what is asked.

        Raises:
            NotFound: the tenant has no such device.
        """
        tenant = TenantId(asked.tenant_id)
        async with self.database.service_tenant_connection("pulse_authz", tenant) as tx:
            credentials = await store.find_credentials(tx, asked.device_id)
            token = await token_store.find_of_device(tx, asked.device_id)
        if credentials is None:
            raise NotFound("no such device")
        return judge(asked, credentials, token, asked.at or self.clock())


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a device has to show, and what the gate would say of it at CONNECT."""

    credential: events.Credential
    name: str | None
    """The certificate's serial number, or the token's id; None when there is none."""
    verdict: domain.Admitted | Denied


def judge(
    asked: events.DryRunRequest,
    credentials: Credentials,
    token: TokenStanding | None,
    at: datetime,
) -> events.DryRunReply:
    """Decide as the gate would at CONNECT and then, if it is asked, on the act."""
    shown = _choose(asked, _by_certificate(credentials, at), _by_token(token, at))
    verdict: domain.Admitted | acl.Allowed | Denied = shown.verdict
    rule = None
    if isinstance(verdict, domain.Admitted) and asked.action != "connect":
        verdict = acl.decide(_act(asked, verdict))
        rule = verdict.rule if isinstance(verdict, acl.Allowed) else verdict.detail or None
    reason = verdict.reason if isinstance(verdict, Denied) else Reason.ALLOWED
    return events.DryRunReply(
        allowed=reason is Reason.ALLOWED,
        reason=reason,
        rule=rule,
        serial_number=shown.name,
        credential=shown.credential,
    )


def _choose(asked: events.DryRunRequest, certificate: _Shown, token: _Shown) -> _Shown:
    """Take the one that is asked about; else one that is let in, the certificate first, else one that is there."""
    if asked.credential != "any":
        return certificate if asked.credential == "certificate" else token
    both = (certificate, token)
    admitted = [one for one in both if isinstance(one.verdict, domain.Admitted)]
    there = [one for one in both if one.name is not None]
    return [*admitted, *there, certificate][0]


def _by_certificate(credentials: Credentials, at: datetime) -> _Shown:
    holder = credentials.holder
    if holder is None:
        return _Shown("certificate", None, Denied(Reason.NO_CERTIFICATE))
    own_names = domain.Connect(
        client_id=str(holder.device), username="", password="", certificate=None
    )
    refused = domain.check_names(own_names, holder, at)
    verdict = refused or domain.admit_device(holder, credentials.standing)
    return _Shown("certificate", holder.serial_number, verdict)


def _by_token(standing: TokenStanding | None, at: datetime) -> _Shown:
    if standing is None:
        return _Shown("token", None, Denied(Reason.NO_TOKEN))
    return _Shown("token", str(standing.token), tokens.admit_own(standing, at))


def _act(asked: events.DryRunRequest, session: domain.Admitted) -> acl.Act:
    return acl.Act(
        client_id=str(asked.device_id),
        username=f"{asked.tenant_id}/{asked.device_id}" if session.by_token else "",
        tenant=str(asked.tenant_id),
        action=acl.Action(asked.action),
        topic=asked.topic,
        qos=asked.qos,
        retain=asked.retain,
    )
