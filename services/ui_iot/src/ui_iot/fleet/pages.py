"""The pages of profiles, fleets and imports: read here; their forms ask the JSON API (static/js/fleet.js)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common.errors import Malformed, NotFound
from pulse_common.http import Endpoint, Guarded
from pulse_common.ids import parse_id
from ui_iot import people, rendering
from ui_iot import store as device_store
from ui_iot.conditional import tag_of
from ui_iot.fleet import store
from ui_iot.fleet.asking import the_one
from ui_iot.people import ADMINISTRATORS

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database, Row

MOST_SHOWN = 100
MOST_PROBLEMS = 50
_NOTHING = "there is nothing here"


@dataclass(frozen=True, slots=True)
class FleetPages:
    db: Database

    def endpoints(self) -> list[Endpoint]:
        shown = {
            "/profiles": self.profiles,
            "/profiles/{profile_id}": self.profile,
            "/devices/{device_id}/profile": self.profile_of_device,
            "/fleets": self.fleets,
            "/fleets/{enrolment_profile_id}": self.fleet,
            "/imports": self.imports,
            "/imports/{import_id}": self.one_import,
        }
        return [
            Guarded(method="GET", path=path, roles=ADMINISTRATORS, handler=handler)
            for path, handler in shown.items()
        ]

    async def profiles(self, request: Request, principal: Principal) -> Response:
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            context: dict[str, object] = {"profiles": await store.list_profiles(tx)}
        return rendering.page(request, "profiles.html", context)

    async def profile(self, request: Request, principal: Principal) -> Response:
        which = _id(request, "profile_id")
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            profile = the_one(await store.list_profiles(tx, which), _NOTHING)
        schema = profile["telemetry_schema"]
        context: dict[str, object] = {
            "profile": profile,
            "schema": "" if schema is None else json.dumps(schema, indent=2, ensure_ascii=False),
            "etag": _tag(profile),
        }
        return rendering.page(request, "profile.html", context)

    async def profile_of_device(self, request: Request, principal: Principal) -> Response:
        which = _id(request, "device_id")
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            device = await device_store.find_device(tx, which)
            if device is None:
                raise NotFound("no such device")
            context: dict[str, object] = {
                "device": device,
                "profiles": await store.list_profiles(tx),
                "chosen": await store.profile_of_device(tx, which),
                "etag": tag_of(b"", device.version),
            }
        return rendering.page(request, "device_profile.html", context)

    async def fleets(self, request: Request, principal: Principal) -> Response:
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            context: dict[str, object] = {
                "fleets": await store.list_fleets(tx),
                "profiles": await store.list_profiles(tx),
            }
        return rendering.page(request, "fleets.html", context)

    async def fleet(self, request: Request, principal: Principal) -> Response:
        which = _id(request, "enrolment_profile_id")
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            fleet = the_one(await store.list_fleets(tx, which), _NOTHING)
            pending = await store.list_hardware(
                tx, which, state="pending", after=None, limit=MOST_SHOWN
            )
            known = await store.list_hardware(tx, which, state=None, after=None, limit=MOST_SHOWN)
            context: dict[str, object] = {
                "fleet": fleet,
                "claims": await store.list_claims(tx, which),
                "pending": pending,
                "known": [one for one in known if one["state"] != "pending"],
                "profiles": await store.list_profiles(tx),
                "etag": _tag(fleet),
            }
        return rendering.page(request, "fleet.html", context)

    async def imports(self, request: Request, principal: Principal) -> Response:
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            context: dict[str, object] = {
                "imports": await store.list_imports(tx),
                "fleets": await store.list_fleets(tx),
            }
        return rendering.page(request, "imports.html", context)

    async def one_import(self, request: Request, principal: Principal) -> Response:
        which = _id(request, "import_id")
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            found = the_one(await store.list_imports(tx, which), _NOTHING)
            problems = await store.list_problems(tx, which, 0, MOST_PROBLEMS)
        return rendering.page(request, "import.html", {"one": found, "problems": problems})


def _tag(row: Row) -> str:
    return tag_of(b"", row["version"])


def _id(request: Request, name: str) -> UUID:
    try:
        return parse_id(request.path_params[name], name)
    except Malformed:
        # On a page a mistyped address is simply nothing.
        raise NotFound(_NOTHING) from None
