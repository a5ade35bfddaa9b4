"""The listener for device tokens: TLS without a client certificate, named to the gate by its zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulse_local.broker.testing.rig import Rig


def test_client_without_certificate_gets_its_names_and_password_to_the_gate(open_rig: Rig) -> None:
    peer = open_rig.peer("device", plain=False, username="tenant/device")
    peer.port = open_rig.settings.token_port

    assert peer.connect() == 0

    asked = open_rig.authz.calls[0].body
    assert asked["zone"] == "device_token"
    assert (asked["clientid"], asked["username"], asked["password"]) == (
        "device",
        "tenant/device",
        "password",
    )
    assert (asked["cert_pem"], asked["cert_common_name"]) == ("", "")


def test_certificate_is_not_asked_for_so_that_none_gives_a_name(open_rig: Rig) -> None:
    certificate = open_rig.authority.issue(CN="somebody")
    peer = open_rig.peer("device", certificate=certificate, username="tenant/device")
    peer.port = open_rig.settings.token_port

    assert peer.connect() == 0

    asked = open_rig.authz.calls[0].body
    assert (asked["zone"], asked["clientid"], asked["cert_pem"]) == ("device_token", "device", "")


def test_listener_for_certificates_still_takes_nobody_without_one(open_rig: Rig) -> None:
    peer = open_rig.peer("device", plain=False, username="tenant/device")

    assert peer.connect() is None
    assert open_rig.authz.calls == []
