"""Who is let in, under which names, and what mqtt_authz is asked."""

from __future__ import annotations

import asyncio
import base64
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pulse_local.broker.authn import Refused, judge_answer
from pulse_local.broker.callout import Answer, Callout
from pulse_local.broker.client import NO_CERTIFICATE, Client

if TYPE_CHECKING:
    from pulse_local.broker.testing.rig import Rig

NOT_AUTHORIZED = 0x87  # paho's name for return code 5 of MQTT 3.1.1


class Reply(NamedTuple):
    body: object = ""
    status: int = 200
    content_type: str = "application/json"


def test_the_authentication_body_is_the_recorded_one(rig: Rig) -> None:
    certificate = rig.authority.issue(C="DE", O="Acme", OU="t1", CN="dev-1")
    peer = rig.peer("foo", certificate=certificate)

    code = peer.connect()

    (call,) = rig.authz.calls
    der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    assert code == 0
    assert call.headers["authorization"] == "Bearer auth-secret-of-the-test-0123456789"
    assert call.headers["content-type"] == "application/json"
    assert call.body == {
        "zone": "devices",
        "username": "dev-1",
        "clientid": "dev-1",
        "password": "",
        "peerhost": "127.0.0.1",
        "cert_common_name": "dev-1",
        "cert_subject": "CN=dev-1,OU=t1,O=Acme,C=DE",
        "cert_pem": base64.b64encode(der).decode(),
    }


def test_a_certificates_name_replaces_what_the_client_sent(rig: Rig) -> None:
    certificate = rig.authority.issue(CN="dev-1")
    peer = rig.peer("victim", certificate=certificate, username="mallory")

    peer.connect()

    (body,) = rig.authz.asked("/auth")
    assert (body["clientid"], body["username"], body["password"]) == ("dev-1", "dev-1", "password")


def test_a_certificate_without_a_name_falls_back_to_what_the_client_sent(rig: Rig) -> None:
    peer = rig.peer("foo", certificate=rig.authority.issue(O="Acme", OU="t1"), username="bob")

    peer.connect()

    (body,) = rig.authz.asked("/auth")
    assert (body["clientid"], body["username"]) == ("foo", "bob")
    assert (body["cert_common_name"], body["cert_subject"]) == ("", "OU=t1,O=Acme")


def test_a_strange_subject_is_rendered_as_emqx_does(rig: Rig) -> None:
    peer = rig.peer("foo", certificate=rig.authority.issue(O="Acme", CN="gerät/+#1"))

    peer.connect()

    (body,) = rig.authz.asked("/auth")
    assert body["clientid"] == "gerät/+#1"
    assert body["cert_subject"] == "CN=ger\\C3\\A4t/\\+#1,O=Acme"


def test_a_plain_client_keeps_its_names(rig: Rig) -> None:
    peer = rig.peer("ingest-0", username="svc_ingest_worker")

    peer.connect()

    (body,) = rig.authz.asked("/auth")
    assert body == {
        "zone": "default",
        "username": "svc_ingest_worker",
        "clientid": "ingest-0",
        "password": "password",
        "peerhost": "127.0.0.1",
        "cert_common_name": "",
        "cert_subject": "",
        "cert_pem": "",
    }


def test_without_a_certificate_nobody_is_asked(rig: Rig) -> None:
    peer = rig.peer("foo", plain=False)

    code = peer.connect()

    assert code is None
    assert rig.authz.calls == []


def test_a_certificate_of_another_authority_is_refused_in_tls(rig: Rig) -> None:
    peer = rig.peer("foo", certificate=rig.web.issue(CN="dev-1"))

    code = peer.connect()

    assert code is None
    assert rig.authz.calls == []


def test_an_expired_certificate_is_refused_in_tls(rig: Rig) -> None:
    peer = rig.peer("foo", certificate=rig.authority.issue(days=0, CN="dev-1"))

    code = peer.connect()

    assert code is None
    assert rig.authz.calls == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=204),
        Reply({"result": "allow"}),
        Reply({"result": "allow"}, content_type="application/json; charset=utf-8"),
        Reply({"result": "allow", "expire_at": int(time.time()) + 315_360_000}),
    ],
)
def test_an_answer_that_allows_lets_in(rig: Rig, reply: Reply) -> None:
    rig.authz.answer_authentication(*reply)

    assert rig.peer("foo").connect() == 0


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"result": "deny"}),
        Reply({"result": "ignore"}),
        Reply({"result": "ALLOW"}),
        Reply({}),
        Reply({"client_attrs": {"tenant": "t1"}}),
        Reply(""),
        Reply("[]"),
        Reply("{broken"),
        Reply({"result": "allow"}, content_type="text/plain"),
        Reply({"result": "allow"}, 201),
        Reply({"result": "allow"}, 301),
        Reply({"result": "allow"}, 401),
        Reply({"result": "allow"}, 403),
        Reply({"result": "allow"}, 404),
        Reply({"result": "allow"}, 429),
        Reply({"result": "allow"}, 500),
        Reply({"result": "allow"}, 503),
        Reply({"result": "allow", "acl": None}),
        Reply({"result": "allow", "acl": [{"permission": "allow", "action": "all"}]}),
        Reply({"result": "allow", "client_attrs": {"tenant": 5}}),
        Reply({"result": "allow", "client_attrs": {"tenant": None}}),
        Reply({"result": "allow", "client_attrs": None}),
        Reply({"result": "allow", "expire_at": int(time.time()) - 1}),
        Reply({"result": "allow", "expire_at": (int(time.time()) + 60) * 1000}),
        Reply({"result": "allow", "expire_at": str(int(time.time()) + 60)}),
        Reply({"result": "allow", "expire_at": time.time() + 60.5}),
        Reply({"result": "allow", "expire_at": True}),
        Reply({"result": "allow", "expire_at": None}),
    ],
)
def test_every_other_answer_refuses(rig: Rig, reply: Reply) -> None:
    rig.authz.answer_authentication(*reply)

    assert rig.peer("foo").connect() == NOT_AUTHORIZED


def test_a_server_that_closes_without_an_answer_is_asked_three_times_and_refuses(rig: Rig) -> None:
    rig.authz.answer_authentication(status=0)

    assert rig.peer("foo").connect() == NOT_AUTHORIZED
    assert len(rig.authz.calls) == 3


def test_a_server_that_is_down_gives_no_answer_which_refuses(
    four_ports: tuple[int, int, int, int],
) -> None:
    async def ask() -> Answer | None:
        async with Callout(secret="s") as callout:
            return await callout.ask(f"http://127.0.0.1:{four_ports[0]}/auth", {})

    answer = asyncio.run(ask())

    client = Client(
        client_id="c", username="", password="", zone="", peer_host="", peer_port=0,
        certificate=NO_CERTIFICATE,
    )  # fmt: skip
    assert answer is None
    assert judge_answer(answer, client, 0.0) == Refused("no answer")


def test_a_password_that_is_not_text_is_refused_without_a_call(rig: Rig) -> None:
    packet = bytes.fromhex("1013 0004 4d515454 04 c2 003c 0001 61 0001 62 0001 ff")

    with socket.create_connection(("127.0.0.1", rig.settings.plain_port)) as raw:
        raw.sendall(packet)
        answer = raw.recv(10)

    assert answer == bytes.fromhex("20020005")
    assert rig.authz.calls == []


def test_an_admission_ends_at_its_second_and_the_session_stays(rig: Rig) -> None:
    expires_at = int(time.time()) + 2
    rig.authz.answer_authentication({"result": "allow", "expire_at": expires_at})
    peer = rig.peer("foo", clean=False)
    peer.connect()

    closed = peer.is_closed()
    late_seconds = time.time() - expires_at
    rig.authz.answer_authentication({"result": "allow"})
    again = rig.peer("foo", clean=False)
    again.connect()

    assert closed
    assert -0.1 < late_seconds < 1
    assert again.session_present
