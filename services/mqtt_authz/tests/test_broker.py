"""EMQX's management API, answered as a real EMQX 5.8.9 did, and as it did not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx2
import pytest
from services.mqtt_authz.tests.conftest import SHARED

from mqtt_authz.broker import BrokerFailed, EmqxAdapter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio

RECORDED = SHARED / "contracts" / "emqx-5.8.9" / "g_rest_calls.jsonl"
DEVICE = UUID("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
STATE = f"tenant/{DEVICE}/device/{DEVICE}/state"
ABSENT = {"code": "CLIENTID_NOT_FOUND", "message": "Client ID not found"}


class Emqx:
    """Answers each call with the next of its answers, and remembers what was asked."""

    def __init__(self, *answers: tuple[int, object] | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[object] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append((request.method, request.url.raw_path.decode()))
        self.bodies.append(json.loads(request.content) if request.content else None)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        return httpx2.Response(status, json=body) if body is not None else httpx2.Response(status)

    def adapter(self) -> EmqxAdapter:
        transport = httpx2.MockTransport(self)
        return EmqxAdapter(httpx2.AsyncClient(transport=transport, base_url="http://emqx/api/v5"))


ACTS: dict[str, Callable[[EmqxAdapter], Awaitable[Any]]] = {
    "ban": lambda broker: broker.ban(DEVICE, "test"),
    "unban": lambda broker: broker.unban(DEVICE),
    "cache": lambda broker: broker.drop_authorization_cache(DEVICE),
    "kick": lambda broker: broker.kick(DEVICE),
    "purge": lambda broker: broker.purge_retained([STATE]),
    "session": lambda broker: broker.has_session(DEVICE),
}


def recorded(comment: str) -> tuple[int, object]:
    """The status and body with which EMQX answered a call of the recording."""
    if not RECORDED.exists():
        pytest.skip(f"no recordings of EMQX at {RECORDED}")
    for line in RECORDED.read_text().splitlines():
        row = json.loads(line)
        if row["comment"] == comment:
            return row["status"], json.loads(row["response"]) if row["response"] else None
    raise LookupError(comment)


async def test_each_act_is_the_documented_call() -> None:
    emqx = Emqx(
        *((200, {}), (204, None), (204, None), (204, None), (204, None)), (200, {"clientid": "x"})
    )
    for act in ACTS.values():
        await act(emqx.adapter())

    quoted = STATE.replace("/", "%2F")
    assert emqx.asked == [
        ("POST", "/api/v5/banned"),
        ("DELETE", f"/api/v5/banned/clientid/{DEVICE}"),
        ("DELETE", f"/api/v5/clients/{DEVICE}/authorization/cache"),
        ("DELETE", f"/api/v5/clients/{DEVICE}"),
        ("DELETE", f"/api/v5/mqtt/retainer/message/{quoted}"),
        ("GET", f"/api/v5/clients/{DEVICE}"),
    ]
    assert emqx.bodies[0] == {
        "as": "clientid",
        "who": str(DEVICE),
        "by": "mqtt_authz",
        "reason": "test",
        "until": "infinity",
    }


@pytest.mark.parametrize(
    ("act", "comment", "expected"),
    [
        ("ban", "ban clientid", None),
        ("unban", "unban", True),
        ("cache", "clean authz cache of one client", None),
        ("cache", "clean cache unknown client", None),
        ("kick", "kick v4 port 8883", None),
        ("kick", "kick unknown client", None),
        ("session", "get offline session", True),
        ("session", "get after kick", False),
    ],
)
async def test_recorded_answer_is_understood(act: str, comment: str, expected: object) -> None:
    emqx = Emqx(recorded(comment))

    assert await ACTS[act](emqx.adapter()) == expected


async def test_repeating_an_act_is_success() -> None:
    banned = Emqx((400, {"code": "ALREADY_EXISTS", "message": "{}"}))
    await banned.adapter().ban(DEVICE, "again")
    purged = Emqx((404, {"code": "NOT_FOUND", "message": "Viewed message doesn't exist"}))
    await purged.adapter().purge_retained([STATE])
    unbanned = Emqx((404, {"code": "NOT_FOUND", "message": "not found"}))

    assert await unbanned.adapter().unban(DEVICE) is False


@pytest.mark.parametrize("act", sorted(ACTS))
@pytest.mark.parametrize(
    "answer",
    [
        (404, None),
        (404, {"code": "API_NOT_EXIST"}),
        (404, ["CLIENTID_NOT_FOUND"]),
        (400, {"code": "BAD_REQUEST"}),
        (401, {"code": "BAD_API_KEY_OR_SECRET"}),
        (302, None),
        (201, {}),
        (500, ABSENT),
        (503, None),
        httpx2.ConnectError("refused"),
        httpx2.ReadTimeout("slow"),
        httpx2.RemoteProtocolError("hung up"),
    ],
    ids=range(12),
)
async def test_anything_else_confirms_nothing(
    act: str, answer: tuple[int, object] | Exception
) -> None:
    with pytest.raises(BrokerFailed):
        await ACTS[act](Emqx(answer, answer).adapter())


async def test_real_adapter_is_addressed_and_authenticated() -> None:
    adapter = EmqxAdapter.to("http://127.0.0.1:1/", "key", "s" * 32)
    try:
        with pytest.raises(BrokerFailed, match="ConnectError"):
            await adapter.kick(DEVICE)
    finally:
        await adapter.close()


async def test_many_are_kicked_and_looked_for_in_few_calls() -> None:
    devices = [UUID(int=number) for number in range(1, 151)]
    answered = {"data": [{"clientid": str(devices[3])}], "meta": {"hasnext": False}}
    stranger = {"data": [{"clientid": str(UUID(int=999))}], "meta": {"hasnext": False}}
    emqx = Emqx((204, None), (200, answered), (200, stranger))

    await emqx.adapter().kick_all(devices)
    left = await emqx.adapter().left_of(devices)

    assert left == {devices[3]}
    assert [method for method, _ in emqx.asked] == ["POST", "GET", "GET"]
    assert emqx.bodies[0] == [str(device) for device in devices]


async def test_a_broker_that_does_not_say_who_is_left_confirms_nothing() -> None:
    with pytest.raises(BrokerFailed):
        await Emqx((404, {"code": "NOT_FOUND"})).adapter().left_of([DEVICE])
    with pytest.raises(BrokerFailed):
        await Emqx((500, None)).adapter().kick_all([DEVICE])


async def test_connection_that_was_closed_while_idle_costs_no_failure() -> None:
    emqx = Emqx(httpx2.RemoteProtocolError("Server disconnected"), (204, None))

    await emqx.adapter().kick(DEVICE)

    assert [method for method, _ in emqx.asked] == ["DELETE", "DELETE"]
