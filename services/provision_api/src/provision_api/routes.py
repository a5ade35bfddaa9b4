"""The whole HTTP surface of this service, on one screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision_api.domain import PLATFORM_ADMIN
from provision_api.est_handlers import Est
from pulse_common.http import Endpoint, Guarded, Open
from pulse_common.identity import Role
from pulse_common.ratelimit import Limit

if TYPE_CHECKING:
    from provision_api.handlers import Provisioning

ROOT = "/api/v1/provision"
# With a label, and without one for whoever has none (RFC 7030 section 3.2.2).
EST = ("/.well-known/est/{profile}", "/.well-known/est")
ADMINISTRATORS = frozenset({PLATFORM_ADMIN, Role.TENANT_ADMIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often one address may knock."""

    admin_per_minute: int = 10
    enrol_per_minute: int = 30


def endpoints(provisioning: Provisioning, rates: Rates = Rates()) -> list[Endpoint]:
    # Uncounted attempts at the admin key would be guesses without end: better none than those.
    admin = Limit(
        name="provision-admin",
        amount=rates.admin_per_minute,
        seconds=60,
        per="address",
        when_store_is_down="deny",
    )
    # A token's 256 random bits need no limit, this spares work; a fleet must enrol while a counter is away.
    enrol = Limit(
        name="provision-enrol",
        amount=rates.enrol_per_minute,
        seconds=60,
        per="address",
        when_store_is_down="allow",
    )
    return [
        Guarded(
            method="PUT",
            path=f"{ROOT}/tenants/{{tenant_id}}",
            roles=frozenset({PLATFORM_ADMIN}),
            handler=provisioning.put_tenant,
            limits=(admin,),
        ),
        Guarded(
            method="POST",
            path=f"{ROOT}/devices",
            roles=ADMINISTRATORS,
            handler=provisioning.post_device,
            limits=(admin,),
        ),
        Guarded(
            method="POST",
            path=f"{ROOT}/devices/{{device_id}}/enrolment-tokens",
            roles=ADMINISTRATORS,
            handler=provisioning.post_token,
            limits=(admin,),
        ),
        *_est_endpoints(provisioning, enrol),
        Open(
            method="POST",
            path=f"{ROOT}/fleet/enroll",
            why="a claim certificate, a hardware id's secret or its maker's key is the credential",
            handler=provisioning.fleet.enrol,
            limits=(enrol,),
        ),
        Open(
            method="POST",
            path=f"{ROOT}/rescue",
            why="the expired certificate, its key's signature and an approval are the credential",
            handler=provisioning.rescue_door.post,
            limits=(enrol,),
        ),
        Open(
            method="POST",
            path=f"{ROOT}/renew",
            why="the TLS client certificate is the credential",
            handler=provisioning.renew,
            limits=(enrol,),
        ),
        Open(
            method="POST",
            path=f"{ROOT}/trust",
            why="the TLS client certificate is the credential",
            handler=provisioning.trust,
            limits=(enrol,),
        ),
        Open(
            method="POST",
            path=f"{ROOT}/enroll",
            why="the enrolment token in the body is the credential",
            handler=provisioning.enrol,
            limits=(enrol,),
        ),
    ]


def _est_endpoints(provisioning: Provisioning, limit: Limit) -> list[Endpoint]:
    est = Est(
        enrolment=provisioning.enrolment,
        reenrolment=provisioning.reenrolment,
        fleet=provisioning.fleet,
        bus=provisioning.enrolment.bus,
        trusted_proxies=provisioning.trusted_proxies,
        certificate_proxies=provisioning.certificate_proxies,
    )
    public = "what a client trusts and may ask for is public (RFC 7030 sections 4.1, 4.5)"
    with_basic = "an enrolment token in HTTP Basic, or what a fleet shows, is the credential"
    certificate = "the TLS client certificate is the credential"
    absent = "says that it is not offered (both are optional: RFC 7030 sections 4.3, 4.4)"
    return [
        Open(method=method, path=f"{root}/{name}", why=why, handler=handler, limits=(limit,))
        for root in EST
        for method, name, why, handler in (
            ("GET", "cacerts", public, est.cacerts),
            ("GET", "csrattrs", public, est.csrattrs),
            ("POST", "simpleenroll", with_basic, est.simpleenroll),
            ("POST", "simplereenroll", certificate, est.simplereenroll),
            ("POST", "fullcmc", absent, est.not_offered),
            ("POST", "serverkeygen", absent, est.not_offered),
        )
    ]
