"""The pages of routes, with a stand-in for delivery_worker that keeps what it is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from pulse_common import delivery_events as calls
from pulse_common.errors import Conflict, Malformed

if TYPE_CHECKING:
    import psycopg
    from services.ui_iot.tests.rig import Browser, Rig

    from pulse_common.bus import Bus

pytestmark = pytest.mark.anyio
SECRET = "whsec_shown-once"
FORM = {"name": "Mine", "url": "https://a.example/", "event.telemetry": "on"}


@dataclass
class Deliveries:
    """Answers as delivery_worker does."""

    superuser: psycopg.Connection
    asked: list[calls.RouteAct] = field(default_factory=list)
    wanted: list[calls.RouteWanted] = field(default_factory=list)
    refusal: str = ""

    async def serve(self, bus: Bus) -> None:
        await bus.answer(calls.CreateRouteRequest, self.create)
        await bus.answer(calls.ChangeRouteRequest, self.change)
        for kind in (calls.PauseRouteRequest, calls.RotateSecretRequest, calls.DeleteRouteRequest):
            await bus.answer(kind, self.act)
        for tried in (calls.VerifyRouteRequest, calls.TestRouteRequest):
            await bus.answer(tried, self.attempt)
        await bus.answer(calls.ReplayDeadRequest, self.replay)
        await bus.answer(calls.BacklogRequest, self.backlog)
        await bus.check()

    async def create(self, asked: calls.CreateRouteRequest) -> calls.RouteReply:
        if self.refusal:
            raise Malformed(self.refusal)
        self.wanted.append(asked.wanted)
        add_route(self.superuser, asked.tenant_id, asked.route_id, asked.wanted.name)
        return calls.RouteReply(route_id=asked.route_id, version=1, secret=SECRET)

    async def change(self, asked: calls.ChangeRouteRequest) -> calls.RouteReply:
        self.wanted.append(asked.wanted)
        return calls.RouteReply(route_id=asked.route_id, version=2)

    async def act(self, asked: calls.RouteAct) -> calls.RouteReply:
        if self.refusal:
            raise Conflict(self.refusal)
        self.asked.append(asked)
        return calls.RouteReply(route_id=asked.route_id, version=2, secret=SECRET)

    async def attempt(self, asked: calls.RouteAct) -> calls.AttemptReply:
        self.asked.append(asked)
        return calls.AttemptReply(
            stage="after",
            delivered=False,
            status=500,
            error="the endpoint answered 500",
            latency_ms=7,
            response_body="<b>no</b>",
        )

    async def replay(self, asked: calls.ReplayDeadRequest) -> calls.ReplayedReply:
        self.asked.append(asked)
        return calls.ReplayedReply(replayed=3)

    async def backlog(self, asked: calls.BacklogRequest) -> calls.BacklogReply:
        query = "SELECT route_id FROM routes WHERE tenant_id = %s"
        routes = self.superuser.execute(query, [asked.tenant_id]).fetchall()
        return calls.BacklogReply(waiting={row[0]: 42 for row in routes})


def add_route(superuser: psycopg.Connection, tenant: UUID, route: UUID, name: str = "A") -> None:
    superuser.execute(
        "INSERT INTO routes (tenant_id, route_id, name, url, event_types, secret_sealed)"
        " VALUES (%s, %s, %s, 'https://a.example/', '{telemetry}', 'sealed')",
        [tenant, route, name],
    )


@pytest.fixture
async def worker(rig: Rig) -> Deliveries:
    made = Deliveries(rig.superuser)
    await made.serve(rig.bus)
    return made


async def test_route_is_made_and_its_secret_is_shown_once(
    alice: Browser, worker: Deliveries
) -> None:
    form = (await alice.page("/routes/new")).text
    key = re.findall(r'name="key" value="([^"]+)"', form)[0]
    sent = {**FORM, "key": key, "metrics": "a, b", "ordered": "on"}

    made = await alice.submit("/routes", **sent)
    first = await alice.page(made.headers["location"])
    second = await alice.page(made.headers["location"])
    again = await alice.submit("/routes", **sent)

    assert made.status_code == 303
    assert [SECRET in page.text for page in (first, second)] == [True, False]
    assert "no-store" in first.headers["cache-control"]
    assert "has not answered the challenge" in first.text
    assert "42 of at most" in first.text
    assert again.headers["location"] == made.headers["location"]
    assert len(worker.wanted) == 1
    assert worker.wanted[0].metrics == ["a", "b"]
    assert worker.wanted[0].ordered


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": ""}, "Give the route a name"),
        ({"url": "ftp://a.example"}, "The address must be"),
        ({"event.telemetry": None}, "Choose what is sent"),
        ({"device_ids": "nonsense"}, "Devices are named by their ids"),
        ({"timeout_seconds": "999"}, "The time-out is from 1"),
        ({"concurrency": "many"}, "From 1 to 16 messages"),
    ],
)
async def test_form_that_cannot_be_taken_comes_back_as_it_was_filled_in(
    alice: Browser, worker: Deliveries, wrong: dict[str, str | None], said: str
) -> None:
    await alice.page("/routes/new")
    sent = {**FORM, "template": "kept by the form", **wrong, "key": "k"}

    answer = await alice.submit("/routes", **{k: v for k, v in sent.items() if v is not None})

    assert answer.status_code == 400
    assert said in answer.text
    assert "kept by the form" in answer.text
    assert worker.wanted == []


async def test_what_delivery_worker_refuses_is_said_on_the_form(
    alice: Browser, worker: Deliveries
) -> None:
    worker.refusal = "the address is not on the public internet"
    await alice.page("/routes/new")

    answer = await alice.submit("/routes", **FORM, key="k")

    assert answer.status_code == 400
    assert "The address is not on the public internet." in answer.text


async def test_each_act_asks_for_its_own_route_and_says_what_came_of_it(
    rig: Rig, acme: UUID, alice: Browser, worker: Deliveries
) -> None:
    route = uuid4()
    add_route(rig.superuser, acme, route)
    page = f"/routes/{route}"
    await alice.page(page)

    tested = await alice.submit(f"{page}/test")
    replayed = await alice.submit(f"{page}/replay", since="2026-01-01T00:00", until="")
    paused = await alice.submit(f"{page}/pause")
    rotated = await alice.submit(f"{page}/secret")
    shown = await alice.page(rotated.headers["location"])
    deleted = await alice.submit(f"{page}/delete")

    assert "The test message failed: the endpoint answered 500 (after, 500, 7 ms)" in tested.text
    assert "<b>no</b>" not in tested.text
    assert "3 of the dead letters" in replayed.text
    assert [one.status_code for one in (paused, rotated, deleted)] == [303, 303, 303]
    assert SECRET in shown.text
    assert {one.route_id for one in worker.asked} == {route}
    replay = worker.asked[1]
    assert isinstance(replay, calls.ReplayDeadRequest)
    assert replay.since is not None
    assert replay.since.isoformat() == "2026-01-01T00:00:00+00:00"
    bad_time = await alice.submit(f"{page}/replay", since="yesterday")
    assert (bad_time.status_code, len(worker.asked)) == (400, 5)


async def test_refused_act_is_said_on_the_route_page(
    rig: Rig, acme: UUID, alice: Browser, worker: Deliveries
) -> None:
    route = uuid4()
    add_route(rig.superuser, acme, route)
    worker.refusal = "a route that is unverified cannot become paused"
    await alice.page(f"/routes/{route}")

    answer = await alice.submit(f"/routes/{route}/pause")

    assert answer.status_code == 409
    assert "A route that is unverified cannot become paused." in answer.text


async def test_change_keeps_a_group_that_is_gone_so_that_it_never_means_every_device(
    rig: Rig, acme: UUID, alice: Browser, worker: Deliveries
) -> None:
    route, gone = uuid4(), uuid4()
    add_route(rig.superuser, acme, route)
    rig.superuser.execute("UPDATE routes SET group_ids = %s WHERE route_id = %s", [[gone], route])
    page = (await alice.page(f"/routes/{route}")).text
    assert f'name="group.{gone}" checked' in page

    answer = await alice.submit(f"/routes/{route}", **FORM, version="1", **{f"group.{gone}": "on"})

    assert answer.status_code == 303
    assert worker.wanted[0].group_ids == [gone]


async def test_another_tenants_route_is_not_there(
    rig: Rig, alice: Browser, worker: Deliveries
) -> None:
    route = uuid4()
    add_route(rig.superuser, rig.tenant("Other"), route, "Others' own")
    await alice.page("/routes")

    answers = [await alice.page(f"/routes/{route}")]
    for verb in ("verify", "test", "pause", "resume", "secret", "replay", "delete"):
        answers.append(await alice.submit(f"/routes/{route}/{verb}"))  # noqa: PERF401 -- one after the other
    answers.append(await alice.submit(f"/routes/{route}", **FORM, version="1"))

    assert {answer.status_code for answer in answers} == {404}
    assert worker.asked == []
    assert "Others' own" not in (await alice.page("/routes")).text


async def test_nobody_chooses_the_id_of_anothers_route(
    rig: Rig, alice: Browser, worker: Deliveries
) -> None:
    stranger = await rig.person(rig.tenant("Other"))
    await stranger.page("/routes/new")
    await alice.page("/routes/new")

    made = [await browser.submit("/routes", **FORM, key="same") for browser in (alice, stranger)]

    assert made[0].headers["location"] != made[1].headers["location"]


async def test_log_is_filtered_and_empty_filters_are_none(
    rig: Rig, acme: UUID, alice: Browser, worker: Deliveries
) -> None:
    route = uuid4()
    add_route(rig.superuser, acme, route)
    for number, (kind, delivered) in enumerate([("telemetry", True), ("test", False)]):
        rig.superuser.execute(
            "INSERT INTO delivery_attempts (tenant_id, attempt_id, route_id, delivery_id, event_type, attempt,"
            " attempted_at, stage, delivered, latency_ms, response_body)"
            " VALUES (%s, %s, %s, %s, %s, 1, '2026-01-01T12:00Z'::timestamptz + make_interval(hours => %s), 'after',"
            " %s, 7, '')",
            [acme, uuid4(), route, f"msg_{number}", kind, number, delivered],
        )

    async def rows(query: str) -> list[str]:
        page = await alice.page(f"/routes?{query}")
        assert page.status_code == 200
        return re.findall(r'attempt-row" data-outcome="(\w+)"', page.text)

    assert sorted(await rows("outcome=&route_id=&since=")) == ["delivered", "failed"]
    assert await rows("outcome=failed") == ["failed"]
    assert await rows("event_type=telemetry") == ["delivered"]
    assert await rows("since=2026-01-01T12:30") == ["failed"]
    assert await rows("until=2026-01-01T12:30") == ["delivered"]
    assert await rows(f"route_id={uuid4()}") == []
    assert (await alice.page("/routes?since=soon")).status_code == 400


async def test_catalogue_of_events_is_told_by_the_api(alice: Browser) -> None:
    listed = (await alice.get("/api/v2/event-types")).json()["event_types"]

    assert [one["type"] for one in listed] == list(calls.EVENT_TYPES)
