"""The management API answers as EMQX does, and what it does takes effect at once."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import httpx2
import pytest

if TYPE_CHECKING:
    from pulse_local.broker.testing.rig import Rig

NOT_AUTHORIZED = 0x87
UNKNOWN = {"code": "CLIENTID_NOT_FOUND", "message": "Client ID not found"}
BAN = {"as": "clientid", "who": "bad", "reason": "test", "until": "infinity"}


@pytest.mark.parametrize("auth", [None, ("key", "wrong"), ("", ""), ("kéy", "ü")])
def test_the_api_needs_its_key(rig: Rig, auth: tuple[str, str] | None) -> None:
    answer = httpx2.get(
        f"http://127.0.0.1:{rig.settings.api_port}/api/v5/clients", auth=auth, trust_env=False
    )

    assert answer.status_code == 401
    assert answer.json()["code"] == "BAD_API_KEY_OR_SECRET"


def test_the_health_probe_is_open(rig: Rig) -> None:
    answer = httpx2.get(f"http://127.0.0.1:{rig.settings.api_port}/api/v5/status", trust_env=False)

    assert answer.status_code == 200
    assert "is running" in answer.text


def test_a_connected_client_is_shown(open_rig: Rig) -> None:
    open_rig.peer("c1", username="u").connect()

    answer = open_rig.api.get("/clients/c1")

    shown = answer.json()
    assert answer.status_code == 200
    assert (shown["clientid"], shown["username"], shown["connected"]) == ("c1", "u", True)
    assert (shown["proto_name"], shown["proto_ver"], shown["keepalive"]) == ("MQTT", 4, 60)


def test_a_session_without_a_connection_is_shown_as_such(open_rig: Rig) -> None:
    peer = open_rig.peer("pers", clean=False)
    peer.connect()
    peer.pull_the_plug()

    shown = open_rig.api.get("/clients/pers").json()

    assert shown["connected"] is False
    assert "disconnected_at" in shown


def test_an_unknown_client_is_not_found(rig: Rig) -> None:
    for method, path in (
        ("GET", "/clients/nope"),
        ("DELETE", "/clients/nope"),
        ("DELETE", "/clients/nope/authorization/cache"),
    ):
        answer = rig.api.request(method, path)
        assert (answer.status_code, answer.json()) == (404, UNKNOWN)


def test_clients_are_listed_in_pages(open_rig: Rig) -> None:
    for number in range(3):
        open_rig.peer(f"c{number}").connect()

    first = open_rig.api.get("/clients", params={"limit": 2}).json()
    second = open_rig.api.get("/clients", params={"limit": 2, "page": 2}).json()

    assert first["meta"] == {"count": 3, "limit": 2, "page": 1, "hasnext": True}
    assert [one["clientid"] for one in first["data"] + second["data"]] == ["c0", "c1", "c2"]
    assert open_rig.api.get("/clients", params={"limit": "x"}).status_code == 400


def test_a_kick_closes_the_connection_and_deletes_the_session(open_rig: Rig) -> None:
    peer = open_rig.peer("a/b+c d", clean=False)
    peer.connect()

    answer = open_rig.api.delete("/clients/a%2Fb%2Bc%20d")

    assert answer.status_code == 204
    assert peer.is_closed()
    assert open_rig.api.get("/clients/a%2Fb%2Bc%20d").status_code == 404
    again = open_rig.peer("a/b+c d", clean=False)
    assert again.connect() == 0
    assert not again.session_present


def test_a_session_without_a_connection_can_be_kicked(open_rig: Rig) -> None:
    peer = open_rig.peer("pers", clean=False)
    peer.connect()
    peer.leave()

    assert open_rig.api.delete("/clients/pers").status_code == 204
    assert open_rig.api.get("/clients/pers").status_code == 404


def test_many_clients_can_be_kicked_together(open_rig: Rig) -> None:
    peers = [open_rig.peer(f"bulk{number}") for number in range(2)]
    for peer in peers:
        peer.connect()

    answer = open_rig.api.post("/clients/kickout/bulk", json=["bulk0", "bulk1", "nope"])

    assert answer.status_code == 204
    assert all(peer.is_closed() for peer in peers)


def test_a_kicked_clients_will_is_sent(open_rig: Rig) -> None:
    service = open_rig.peer("service")
    service.connect()
    service.subscribe("wills/#")
    open_rig.peer("willk", will=("wills/willk", "gone")).connect()

    open_rig.api.delete("/clients/willk")

    assert service.receive().payload == b"gone"


def test_a_banned_clients_will_is_not_sent(open_rig: Rig) -> None:
    service = open_rig.peer("service")
    service.connect()
    service.subscribe("wills/#")
    peer = open_rig.peer("bad", will=("wills/bad", "gone"))
    peer.connect()

    open_rig.api.post("/banned", json=BAN)
    open_rig.api.delete("/clients/bad")

    assert peer.is_closed()
    assert service.receive_all(0.2) == []


def test_a_banned_client_is_refused_without_a_call_until_the_ban_is_lifted(open_rig: Rig) -> None:
    banned = open_rig.api.post("/banned", json=BAN)
    refused = open_rig.peer("bad").connect()
    calls = len(open_rig.authz.calls)
    twice = open_rig.api.post("/banned", json=BAN)
    listed = open_rig.api.get("/banned").json()["data"]
    lifted = open_rig.api.delete("/banned/clientid/bad")

    assert banned.status_code == 200
    expected = {"as": "clientid", "who": "bad", "reason": "test", "by": "mgmt_api"}
    assert banned.json() == expected | {"at": banned.json()["at"], "until": "infinity"}
    assert listed == [banned.json()]
    assert (refused, calls) == (NOT_AUTHORIZED, 0)
    assert (twice.status_code, twice.json()["code"]) == (400, "ALREADY_EXISTS")
    assert lifted.status_code == 204
    assert open_rig.api.delete("/banned/clientid/bad").status_code == 404
    assert open_rig.peer("bad").connect() == 0


def test_a_ban_ends_by_itself(open_rig: Rig) -> None:
    open_rig.api.post("/banned", json=BAN | {"until": "2020-01-01T00:00:00Z"})

    assert open_rig.peer("bad").connect() == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/banned", {"as": "shoe size", "who": "x"}),
        ("/banned", {"as": ["clientid"], "who": "x"}),
        ("/banned", {"as": "clientid"}),
        ("/banned", {"as": "clientid", "who": "x", "until": "soon"}),
        ("/banned", ["x"]),
        ("/clients/kickout/bulk", {"a": 1}),
        ("/clients/kickout/bulk", [1]),
        ("/publish", {"topic": "a/+", "payload": "x"}),
        ("/publish", {"topic": "a"}),
        ("/publish", {"topic": "a", "payload": "x", "qos": 3}),
        ("/publish", {"topic": "a", "payload": "x", "qos": [1]}),
        ("/publish", {"topic": "a", "payload": "x", "retain": "yes"}),
        ("/publish", {"topic": "a", "payload": "x", "payload_encoding": "rot13"}),
        ("/publish", {"topic": "a", "payload": "!", "payload_encoding": "base64"}),
    ],
)
def test_nonsense_is_a_bad_request(rig: Rig, path: str, body: object) -> None:
    answer = rig.api.post(path, json=body)

    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


def test_a_body_that_is_not_json_is_a_bad_request(rig: Rig) -> None:
    assert rig.api.post("/banned", content=b"{").status_code == 400


@pytest.mark.parametrize(
    ("payload", "encoding"), [("hello", "plain"), (base64.b64encode(b"hello").decode(), "base64")]
)
def test_publishing_reaches_subscribers(open_rig: Rig, payload: str, encoding: str) -> None:
    peer = open_rig.peer("c1")
    peer.connect()
    peer.subscribe("z/#")

    body = {"topic": "z/1", "payload": payload, "payload_encoding": encoding, "qos": 1}
    answer = open_rig.api.post("/publish", json=body)

    message = peer.receive()
    assert answer.status_code == 200
    assert "id" in answer.json()
    assert (message.payload, message.qos) == (b"hello", 1)


def test_publishing_to_nobody_says_so(rig: Rig) -> None:
    answer = rig.api.post("/publish", json={"topic": "z/1", "payload": "x"})

    expected = {"reason_code": 16, "message": "no_matching_subscribers"}
    assert (answer.status_code, answer.json()) == (202, expected)


def test_retained_messages_are_listed_and_purged(rig: Rig) -> None:
    for topic in ("state/a", "state/b/c", "other"):
        rig.api.post("/publish", json={"topic": topic, "payload": "on", "retain": True})

    listed = rig.api.get("/mqtt/retainer/messages", params={"topic": "state/#"}).json()
    purged = rig.api.delete("/mqtt/retainer/message/state%2Fb%2Fc")
    rig.api.post("/publish", json={"topic": "state/a", "payload": "", "retain": True})
    left = rig.api.get("/mqtt/retainer/messages").json()["data"]

    assert [one["topic"] for one in listed["data"]] == ["state/a", "state/b/c"]
    assert purged.status_code == 204
    assert rig.api.delete("/mqtt/retainer/message/state%2Fb%2Fc").status_code == 404
    assert [one["topic"] for one in left] == ["other"]


def test_the_cache_of_all_clients_can_be_dropped(rig: Rig) -> None:
    rig.authz.answer_authentication({"result": "allow"})
    rig.authz.answer_authorization({"result": "allow"})
    peer = rig.peer("c1")
    peer.connect()
    peer.publish_and_wait("x/1")

    answer = rig.api.delete("/authorization/cache")
    peer.publish_and_wait("x/1")

    assert answer.status_code == 204
    assert len(rig.authz.asked("/acl")) == 2
