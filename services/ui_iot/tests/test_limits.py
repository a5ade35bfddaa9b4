"""How often anybody may knock: addresses at the log-in and the live view, people and tenants at everything else."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.rig import ISSUER, claims_of, open_rig
from services.ui_iot.tests.team import sign_in
from services.ui_iot.tests.test_routes import ALL, GUARDED, named
from services.ui_iot.tests.viewer import close_code, serving, watching

from pulse_common.errors import Unavailable
from pulse_common.http import Guarded, Open
from pulse_common.ratelimit_store import BoundedMemory
from ui_iot.limits import INVITING, Rates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    import psycopg
    from services.ui_iot.tests.rig import Rig
    from tests.parts import Nats, Postgres

pytestmark = pytest.mark.anyio

API, PAGE = "/api/v2/devices", "/devices"
CUTTING_OFF = {
    "POST /team/{member_id}/remove",
    "DELETE /api/v2/team/{member_id}",
    "POST /devices/{device_id}/revoke",
    "POST /devices/{device_id}/tokens/{token_id}/revoke",
    "POST /api/v2/devices/{device_id}/revoke",
    "POST /sessions/{session_id}/end",
    "POST /sessions/end-others",
    "POST /api/v2/sessions/{session_id}/end",
    "POST /api/v2/sessions/end-others",
}


def limits_of(endpoint: Guarded | Open) -> list[tuple[str, str]]:
    return [(limit.name, limit.per) for limit in endpoint.limits]


def test_every_guarded_door_counts_its_person_and_then_their_tenant() -> None:
    expected = [("user", "tenant"), ("user", "tenant", "tenant")]

    others = [e for e in GUARDED if named(e) not in CUTTING_OFF | {"POST /auth/logout"}]

    assert all(tuple(per for _, per in limits_of(e)) in expected for e in others)
    assert {limits_of(e)[0][0] for e in others if e.path.startswith("/api/")} == {"api"}
    assert {limits_of(e)[0][0] for e in others if not e.path.startswith("/api/")} == {"pages"}


def test_what_cuts_somebody_off_does_not_wait_for_the_tenant_and_log_out_for_nobody() -> None:
    found = {named(e): [per for _, per in limits_of(e)] for e in GUARDED}

    assert {name for name, per in found.items() if per == ["user"]} == CUTTING_OFF
    assert {name for name, per in found.items() if not per} == {"POST /auth/logout"}


def test_each_door_that_sends_a_mail_is_limited() -> None:
    limited = {(e.method, e.path) for e in GUARDED if ("invitations", "tenant") in limits_of(e)}

    assert limited == INVITING


def test_open_doors_that_are_limited_are_exactly_these() -> None:
    found = {named(e): limits_of(e) for e in ALL if isinstance(e, Open) and e.limits}

    assert found == {
        "GET /auth/login": [("login", "address")],
        "GET /auth/callback": [("callback", "address")],
        "GET /unsubscribe/{link}": [("unsubscribe", "address")],
        "POST /unsubscribe/{link}": [("unsubscribe", "address")],
    }


def test_without_the_store_every_limit_here_lets_through() -> None:
    assert {limit.when_store_is_down for e in ALL for limit in e.limits} == {"allow"}


@pytest.fixture
def rates() -> Rates:
    return Rates(
        auth_per_minute=2,
        live_per_minute=2,
        api_per_minute=2,
        pages_per_minute=2,
        tenant_per_minute=5,
    )


@pytest.fixture
async def strict(
    postgres: Postgres, nats_server: Nats, superuser: psycopg.Connection, rates: Rates
) -> AsyncIterator[Rig]:
    async with open_rig(postgres, nats_server, superuser, rates=rates) as rig:
        yield rig


def person(tenant: UUID, role: str = "customer") -> dict[str, str]:
    return {"authorization": f"Bearer {ISSUER.token(**claims_of(tenant, role))}"}


async def statuses(rig: Rig, path: str, headers: dict[str, str], times: int) -> list[int]:
    return [(await rig.browser().get(path, headers=headers)).status_code for _ in range(times)]


@pytest.mark.parametrize("path", ["/auth/login", "/auth/callback"])
async def test_log_ins_are_limited_for_each_address(strict: Rig, path: str) -> None:
    # What a client writes in front of the proxy's word does not choose its bucket.
    claims = [{"x-forwarded-for": f"10.0.0.{n}, 203.0.113.5"} for n in range(3)]

    answers = [await strict.browser(**claim).get(path) for claim in claims]
    other = await strict.browser(**{"x-forwarded-for": "203.0.113.6"}).get(path)

    assert [a.status_code == 429 for a in answers] == [False, False, True]
    assert int(answers[2].headers["retry-after"]) > 0
    assert other.status_code != 429


@pytest.mark.parametrize("path", [API, PAGE])
async def test_api_and_pages_are_limited_for_each_person(strict: Rig, path: str) -> None:
    tenant = strict.tenant()

    assert await statuses(strict, path, person(tenant), 1) == [200]
    greedy = person(tenant)
    assert await statuses(strict, path, greedy, 3) == [200, 200, 429]
    assert await statuses(strict, path, person(tenant), 1) == [200]


async def test_pages_and_api_are_counted_apart(strict: Rig) -> None:
    somebody = person(strict.tenant())

    assert await statuses(strict, API, somebody, 3) == [200, 200, 429]
    assert await statuses(strict, PAGE, somebody, 1) == [200]


async def test_tenant_is_limited_whoever_of_it_asks_and_others_are_not(strict: Rig) -> None:
    acme, globex = strict.tenant(), strict.tenant("Globex")
    for path in (API, API, PAGE, PAGE, API):
        assert await statuses(strict, path, person(acme), 1) == [200]

    refused = await strict.browser().get(API, headers=person(acme))
    other = await strict.browser().get(API, headers=person(globex))

    assert refused.status_code == 429
    assert refused.json()["detail"] == "the limit tenant allows 5 requests in 60 seconds"
    assert int(refused.headers["retry-after"]) > 0
    assert other.headers["ratelimit-policy"] == '"api";q=2;w=60, "tenant";q=5;w=60'
    assert other.headers["ratelimit"] == '"api";r=1;t=60, "tenant";r=4;t=60'


async def test_tenant_whose_limit_is_used_up_can_still_cut_off_a_device(strict: Rig) -> None:
    acme = strict.tenant()
    device = strict.device(acme)
    for _ in range(5):
        await strict.browser().get(API, headers=person(acme))
    assert await statuses(strict, API, person(acme), 1) == [429]

    answer = await strict.browser().post(
        f"{API}/{device}/revoke",
        headers=person(acme, "tenant-admin"),
        json={"reason": "keyCompromise"},
    )

    # Nobody signs revocations in this test: it got as far as asking.
    assert answer.status_code == Unavailable.status


async def test_operators_are_limited_each_for_themselves(strict: Rig) -> None:
    def operator() -> dict[str, str]:
        claims = {**claims_of(strict.tenant(), "operator"), "tenant_id": ...}
        return {"authorization": f"Bearer {ISSUER.token(**claims)}"}

    answers = [await statuses(strict, "/api/v2/session", operator(), 1) for _ in range(8)]

    assert answers == [[200]] * 8


async def test_live_views_are_limited_for_each_address_before_anything_is_looked_at(
    strict: Rig,
) -> None:
    one, other = {"x-forwarded-for": "203.0.113.5"}, {"x-forwarded-for": "203.0.113.6"}
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(strict))
        for _ in range(2):
            await stack.enter_async_context(watching(url, None, None, **one))
        refused = await stack.enter_async_context(watching(url, None, None, **one))
        elsewhere = await stack.enter_async_context(watching(url, None, None, **other))

        assert await close_code(refused) == 4429
        assert refused.close_reason == "the limit live allows 2 requests in 60 seconds"
        # Let in as far as its first message, which never came.
        assert await close_code(elsewhere) == 4408


class DeadStore(BoundedMemory):
    """A store that is away."""

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        raise ConnectionError(f"nobody counts {key}, {limit}, {expiry}, {amount}")


async def test_every_limit_lets_through_while_the_store_is_away(
    postgres: Postgres, nats_server: Nats, superuser: psycopg.Connection
) -> None:
    one = Rates(
        auth_per_minute=1,
        live_per_minute=1,
        api_per_minute=1,
        pages_per_minute=1,
        tenant_per_minute=1,
        invitations_per_hour=1,
    )
    dead = DeadStore()
    async with open_rig(postgres, nats_server, superuser, rates=one, rate_store=dead) as rig:
        tenant = rig.tenant()
        admin = await sign_in(rig, tenant)  # counts a log-in, a callback and a page already

        again = await sign_in(rig, tenant)
        api = await statuses(rig, API, person(tenant), 3)
        invited = [(await admin.invite(f"n{n}@acme.example")).status_code for n in range(3)]
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(serving(rig))
            views = [await stack.enter_async_context(watching(url, None, None)) for _ in range(3)]
            live = [await close_code(view) for view in views]

    assert again.browser.session
    assert api == [200] * 3
    assert invited == [201] * 3
    assert live == [4408] * 3  # let in as far as the first message, which never came
