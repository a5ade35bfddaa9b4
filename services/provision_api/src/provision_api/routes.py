"""The whole HTTP surface of this service, on one screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision_api.domain import PLATFORM_ADMIN
from pulse_common.http import Endpoint, Guarded, Open
from pulse_common.identity import Role
from pulse_common.ratelimit import Limit

if TYPE_CHECKING:
    from provision_api.handlers import Provisioning

ROOT = "/api/v1/provision"
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
        Open(
            method="POST",
            path=f"{ROOT}/enroll",
            why="the enrolment token in the body is the credential",
            handler=provisioning.enrol,
            limits=(enrol,),
        ),
    ]
