"""How the gate would decide, asked without anybody connecting: the same rules on the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mqtt_authz import acl, domain, store
from mqtt_authz.reasons import Denied, Reason
from pulse_common import events
from pulse_common.errors import NotFound
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from datetime import datetime

    from mqtt_authz.certificate import DeviceCertificate
    from mqtt_authz.store import Credentials
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
        if credentials is None:
            raise NotFound("no such device")
        return judge(asked, credentials, asked.at or self.clock())


def judge(
    asked: events.DryRunRequest, credentials: Credentials, at: datetime
) -> events.DryRunReply:
    """Decide as the gate would at CONNECT and then, if it is asked, on the act."""
    holder = credentials.holder
    if holder is None:
        return events.DryRunReply(allowed=False, reason=Reason.NO_CERTIFICATE)
    verdict: domain.Admitted | acl.Allowed | Denied = _connects(holder, credentials, at)
    rule = None
    if not isinstance(verdict, Denied) and asked.action != "connect":
        verdict = acl.decide(_act(asked, holder))
        rule = verdict.rule if isinstance(verdict, acl.Allowed) else verdict.detail or None
    reason = verdict.reason if isinstance(verdict, Denied) else Reason.ALLOWED
    return events.DryRunReply(
        allowed=reason is Reason.ALLOWED,
        reason=reason,
        rule=rule,
        serial_number=holder.serial_number,
    )


def _connects(
    holder: DeviceCertificate, credentials: Credentials, at: datetime
) -> domain.Admitted | Denied:
    own_names = domain.Connect(
        client_id=str(holder.device), username="", password="", certificate=None
    )
    refused = domain.check_names(own_names, holder, at)
    return refused or domain.admit_device(holder, credentials.standing)


def _act(asked: events.DryRunRequest, holder: DeviceCertificate) -> acl.Act:
    return acl.Act(
        client_id=str(holder.device),
        username="",
        tenant=str(holder.tenant),
        action=acl.Action(asked.action),
        topic=asked.topic,
        qos=asked.qos,
        retain=asked.retain,
    )
