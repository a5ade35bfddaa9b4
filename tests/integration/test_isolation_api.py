"""Tenant B's session and token reach nothing of tenant A by HTTP: every route that names a device is tried."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

import provision_api.routes
import ui_iot.routes
from pulse_common.http import Guarded
from pulse_local.seed import ACME, GLOBEX

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2
    from tests.integration.people import Person
    from tests.integration.world import Device, World

    from pulse_common.http import Endpoint

pytestmark = pytest.mark.integration

#: A right body for each request that changes a device. A new route needs a line here.
BODIES: dict[str, dict[str, dict[str, str | None]]] = {
    "/api/v2/devices/{device_id}": {"json": {"name": "Mine now"}, "headers": {"if-match": "*"}},
    "/api/v2/devices/{device_id}/profile": {
        "json": {"profile_id": None},
        "headers": {"if-match": "*"},
    },
    "/devices/{device_id}/enrolment-tokens": {"data": {}},
    "/devices/{device_id}/revoke": {"data": {"reason": "keyCompromise"}},
    "/devices/{device_id}/tokens": {"data": {"days": "90"}},
    "/devices/{device_id}/tokens/permit": {"data": {"allowed": "yes"}},
    "/devices/{device_id}/tokens/{token_id}/revoke": {"data": {}},
    "/devices/{device_id}/rescue": {"data": {}},
    "/devices/{device_id}/rescue/close": {"data": {}},
    "/devices/{device_id}/transfer": {"data": {"offered_to": GLOBEX}},
    "/api/v2/devices/{device_id}/rescue": {"json": {}},
    "/api/v2/devices/{device_id}/transfer": {"json": {"offered_to": GLOBEX}},
    "/api/v2/devices/{device_id}/revoke": {"json": {"reason": "keyCompromise"}},
    "/api/v2/devices/{device_id}/commands": {"json": {"name": "open-valve"}},
    "/api/v2/devices/{device_id}/dry-run": {"json": {"action": "publish", "topic": "a"}},
    "/api/v1/provision/devices/{device_id}/enrolment-tokens": {"json": {}},
}
#: What a reading route must be asked besides.
QUERIES = {"/api/v2/devices/{device_id}/readings/buckets": {"metric": "load"}}

#: Names a thing of the device besides, or is for devices in another state, which the tests of its own service make.
NAMES_MORE = {
    "/devices/{device_id}/tokens/{token_id}/revoke",
    "/devices/{device_id}/rescue",
    "/api/v2/devices/{device_id}/rescue",
    "/devices/{device_id}/transfer",
    "/api/v2/devices/{device_id}/transfer",
}


class Unused(int):
    """Stands for whatever a route list asks for, handlers and numbers: only methods and paths matter here."""

    def __getattr__(self, name: str) -> Unused:
        return self


def _endpoints(make: Callable[..., list[Endpoint]]) -> list[Endpoint]:
    return make(*(Unused(1) for _ in signature(make).parameters))


def _routes() -> list[tuple[str, str]]:
    found = [*_endpoints(ui_iot.routes.endpoints), *_endpoints(provision_api.routes.endpoints)]
    guarded = [(one.method, one.path) for one in found if isinstance(one, Guarded)]
    return [(method, path) for method, path in guarded if "{device_id}" in path]


ROUTES = _routes()
CALLERS = [
    (kind, method, path)
    for method, path in ROUTES
    for kind in ("session", "token")
    # The provisioning door takes no sessions.
    if kind == "token" or not path.startswith("/api/v1/provision")
]


def test_every_route_that_changes_a_device_is_tried() -> None:
    assert set(BODIES) == {path for method, path in ROUTES if method != "GET"}
    assert len(ROUTES) >= 9


@pytest.mark.parametrize(("kind", "method", "path"), CALLERS)
def test_another_tenants_device_is_not_there(
    mallory: Person, device_a: Device, kind: str, method: str, path: str
) -> None:
    answer = _call(mallory, kind, method, path, device_a.device_id)

    assert answer.status_code in {403, 404}, answer.text
    assert device_a.name not in answer.text


def test_the_same_requests_work_for_ones_own_device(world: World, alice: Person) -> None:
    spare = world.enrol(ACME, "Spare of Acme")
    # Revoking comes last: nothing works afterwards.
    calls = [call for call in CALLERS if call[2] not in NAMES_MORE]
    calls.sort(key=lambda call: "revoke" in call[2])

    statuses = {call: _call(alice, *call, spare.device_id).status_code for call in calls}

    assert {call: status for call, status in statuses.items() if status >= 400} == {}


def test_another_tenants_devices_are_in_no_list(
    alice: Person, mallory: Person, device_a: Device, device_b: Device
) -> None:
    lists = ["/devices", "/api/v2/devices", f"/api/v2/devices?after={device_a.device_id}"]

    pages = [client.get(path) for path in lists for client in (mallory.browser, mallory.api)]

    assert all(page.status_code == 200 for page in pages)
    assert all(device_a.device_id not in page.text for page in pages)
    assert all(device_a.name not in page.text for page in pages)
    assert device_b.device_id in pages[0].text
    # The others' tests may have filled the first pages.
    assert device_a.device_id in alice.api.get(_page_with(device_a)).text


def _page_with(device: Device) -> str:
    """Return the page of the list, newest first, that begins with this device."""
    before = UUID(int=UUID(device.device_id).int + 1)
    return f"/api/v2/devices?after={before}"


def test_nobody_makes_devices_or_tenants_for_others(mallory: Person, device_a: Device) -> None:
    named = {"tenant_id": ACME, "name": "Trojan horse"}

    made = mallory.api.post("/api/v1/provision/devices", json=named)
    renamed = mallory.api.put(f"/api/v1/provision/tenants/{ACME}", json={"name": "Mine now"})
    minted = mallory.api.post(
        f"/api/v1/provision/devices/{device_a.device_id}/enrolment-tokens", json={"tenant_id": ACME}
    )

    assert [made.status_code, renamed.status_code, minted.status_code] == [400, 403, 400]


def test_what_was_tried_has_changed_nothing(alice: Person, device_a: Device) -> None:
    answer = alice.api.get(f"/api/v2/devices/{device_a.device_id}").json()

    assert answer["name"] == device_a.name
    assert answer["status"] != "cut_off"
    assert "Trojan horse" not in alice.api.get("/api/v2/devices").text


def _call(person: Person, kind: str, method: str, path: str, device_id: str) -> httpx2.Response:
    client = person.browser if kind == "session" else person.api
    body: dict[str, Any]
    body = {"params": QUERIES.get(path)} if method == "GET" else dict(BODIES[path])
    path = path.replace("{device_id}", device_id).replace("{token_id}", str(uuid4()))
    return client.request(method, path, **body)
