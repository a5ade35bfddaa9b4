"""A device renews over its live session; both certificates count until the new one connects, then the old one goes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.integration.waiting import eventually
from tests.integration.world import reading

from pulse_device.keys import certificate_request_pem
from pulse_local.broker.testing.peer import Peer
from pulse_local.seed import ACME

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg
    from tests.integration.world import Device, World

pytestmark = pytest.mark.integration


def _renewed(device: Device, folder: Path) -> Device:
    """Ask over the session, twice as after a lost answer, and keep what came as another program would."""
    key = ec.generate_private_key(ec.SECP256R1())
    with device.online() as peer:
        peer.subscribe(f"{device.tree}/cert/issued")
        answers = []
        for _ in range(2):
            peer.publish_and_wait(
                f"{device.tree}/cert/renew", json.dumps({"csr": certificate_request_pem(key)})
            )
            answers.append(json.loads(peer.receive().payload))
    assert answers[0]["certificate"] == answers[1]["certificate"]
    folder.mkdir()
    (folder / "certificate.pem").write_text(answers[0]["certificate"] + answers[0]["chain"])
    (folder / "device-key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (folder / "broker-ca.pem").write_bytes((device.folder / "broker-ca.pem").read_bytes())
    return replace(device, folder=folder)


def test_renewed_certificate_takes_over_once_it_is_used(
    world: World, database: psycopg.Connection, tmp_path: Path
) -> None:
    old = world.enrol(ACME, "Renewed over MQTT")
    new = _renewed(old, tmp_path / "renewed")
    with old.online() as peer:
        peer.publish_and_wait(old.telemetry, reading(before=1.0))

    with new.online() as peer:
        peer.publish_and_wait(new.telemetry, reading(after=1.0))

        def retired() -> bool:
            rows = database.execute(
                "SELECT status, revocation_reason FROM certificates WHERE device_id = %s"
                " ORDER BY certificate_id",
                [old.device_id],
            ).fetchall()
            return rows == [("revoked", "superseded"), ("valid", None)]

        eventually(retired, "the old certificate to retire")
        # The session of the new one goes on: nothing was cut.
        peer.publish_and_wait(new.telemetry, reading(after=2.0))
        assert not peer.closed.is_set()

    def refused() -> bool:
        return Peer(old.client(), old.mqtts_port).connect() != 0

    eventually(refused, "the old certificate to be refused")
    with new.online() as peer:
        peer.publish_and_wait(new.telemetry, reading(after=3.0))
