"""The whole HTTP surface of this service, on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision_api.domain import PLATFORM_ADMIN
from pulse_common.http import Endpoint, Guarded, Open
from pulse_common.identity import Role

if TYPE_CHECKING:
    from provision_api.handlers import Provisioning

ROOT = "/api/v1/provision"
ADMINISTRATORS = frozenset({PLATFORM_ADMIN, Role.TENANT_ADMIN})


def endpoints(provisioning: Provisioning) -> list[Endpoint]:
    return [
        Guarded(
            method="PUT",
            path=f"{ROOT}/tenants/{{tenant_id}}",
            roles=frozenset({PLATFORM_ADMIN}),
            handler=provisioning.put_tenant,
        ),
        Guarded(
            method="POST",
            path=f"{ROOT}/devices",
            roles=ADMINISTRATORS,
            handler=provisioning.post_device,
        ),
        Guarded(
            method="POST",
            path=f"{ROOT}/devices/{{device_id}}/enrolment-tokens",
            roles=ADMINISTRATORS,
            handler=provisioning.post_token,
        ),
        Open(
            method="POST",
            path=f"{ROOT}/enroll",
            why="the enrolment token in the body is the credential",
            handler=provisioning.enrol,
        ),
    ]
