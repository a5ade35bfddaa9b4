"""The JSON API about device profiles: reads here, changes through provision_api, which owns them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from pulse_common import events_profiles as calls
from pulse_common.http import read_model
from ui_iot.api import active_tenant, find_device
from ui_iot.conditional import answer, check_version
from ui_iot.fleet import models, store
from ui_iot.fleet.asking import answered, path_id, the_one, who

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.identity import Principal
    from pulse_common.tenancy import Row
    from ui_iot.fleet.asking import Asking

NONE = "no such device profile"


@dataclass(frozen=True, slots=True)
class ProfileApi:
    asking: Asking

    async def profiles(self, request: Request, principal: Principal) -> Response:
        async with active_tenant(self.asking.db, principal) as tx:
            rows = await store.list_profiles(tx)
        return answer(request, models.ProfilesAnswer(profiles=[_show(row) for row in rows]))

    async def profile(self, request: Request, principal: Principal) -> Response:
        row = await self.find(path_id(request, "profile_id"), principal)
        return answer(request, _show(row), row["version"])

    async def create(self, request: Request, principal: Principal) -> Response:
        async def work(body: models.ProfileBody, made: UUID) -> models.ProfileAnswer:
            wanted = calls.ProfileWanted.model_validate(body.model_dump())
            asked = calls.CreateProfileRequest(**who(request), profile_id=made, wanted=wanted)
            await self.asking.ask(asked, calls.ProfileReply)
            return _show(await self.find(made, principal))

        return await self.asking.create(request, principal, models.ProfileBody, work)

    async def change(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, models.ProfileBody)
        row = await self.find(path_id(request, "profile_id"), principal)
        asked = calls.ChangeProfileRequest(
            **who(request),
            profile_id=row["id"],
            wanted=calls.ProfileWanted.model_validate(body.model_dump()),
            version=check_version(request, row["version"]),
        )
        await self.asking.ask(asked, calls.ProfileReply)
        return await self.profile(request, principal)

    async def delete(self, request: Request, principal: Principal) -> Response:
        row = await self.find(path_id(request, "profile_id"), principal)
        asked = calls.DeleteProfileRequest(
            **who(request), profile_id=row["id"], version=row["version"]
        )
        await self.asking.ask(asked, calls.ProfileReply)
        return Response(None, 204)

    async def assign(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, models.AssignBody)
        device = await find_device(self.asking.db, request, principal)
        asked = calls.AssignProfileRequest(
            **who(request),
            device_id=device.id,
            profile_id=body.profile_id,
            version=check_version(request, device.version),
        )
        made = await self.asking.ask(asked, calls.AssignProfileReply)
        shown = models.AssignedAnswer(device_id=made.device_id, profile_id=made.profile_id)
        return answered(shown)

    async def assigned(self, request: Request, principal: Principal) -> Response:
        device = await find_device(self.asking.db, request, principal)
        async with active_tenant(self.asking.db, principal) as tx:
            profile_id = await store.profile_of_device(tx, device.id)
        shown = models.AssignedAnswer(device_id=device.id, profile_id=profile_id)
        return answer(request, shown, device.version)

    async def find(self, profile_id: UUID, principal: Principal) -> Row:
        async with active_tenant(self.asking.db, principal) as tx:
            return the_one(await store.list_profiles(tx, profile_id), NONE)


def _show(row: Row) -> models.ProfileAnswer:
    return models.ProfileAnswer(**{name: value for name, value in row.items() if name != "version"})
