"""What happens while mqtt_authz thinks: a revoked client does not slip through."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulse_local.broker.testing.rig import Rig

NOT_AUTHORIZED = 0x87
BAN = {"as": "clientid", "who": "bad", "until": "infinity"}


def test_a_ban_during_authentication_still_refuses(rig: Rig) -> None:
    rig.authz.may_answer.clear()
    codes: list[int | None] = []
    peer = rig.peer("bad")
    connecting = threading.Thread(target=lambda: codes.append(peer.connect()))
    connecting.start()
    rig.authz.wait_for_calls(1)

    rig.api.post("/banned", json=BAN)
    rig.authz.may_answer.set()
    connecting.join()

    assert codes == [NOT_AUTHORIZED]


def test_a_kick_during_authorization_stops_the_publish(rig: Rig) -> None:
    rig.authz.answer_authentication({"result": "allow", "is_superuser": True})
    service = rig.peer("service")
    service.connect()
    service.subscribe("#")
    rig.authz.answer_authentication({"result": "allow"})
    rig.authz.answer_authorization({"result": "allow"})
    peer = rig.peer("bad")
    peer.connect()
    rig.authz.may_answer.clear()
    peer.publish("news")
    rig.authz.wait_for_calls(3)

    rig.api.delete("/clients/bad")
    rig.authz.may_answer.set()

    assert service.receive_all(0.3) == []
    assert peer.acknowledged.empty()


def test_a_kick_during_authorization_stops_the_subscription(rig: Rig) -> None:
    rig.authz.answer_authorization({"result": "allow"})
    peer = rig.peer("bad")
    peer.connect()
    rig.authz.may_answer.clear()
    peer.client.subscribe("news", 1)
    rig.authz.wait_for_calls(2)

    rig.api.delete("/clients/bad")
    rig.authz.may_answer.set()
    closed = peer.is_closed()
    answer = rig.api.post("/publish", json={"topic": "news", "payload": "x"})

    assert closed
    assert answer.status_code == 202  # no subscriber
    assert peer.granted.empty()
