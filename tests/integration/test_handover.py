"""A device changes its tenant, another comes back after its certificate has expired, and people hear by mail: live."""

from __future__ import annotations

import asyncio
import email
from datetime import UTC, datetime
from email import policy
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from tests.integration.people import edge_client
from tests.integration.waiting import eventually
from tests.integration.world import Device, cli, connected, reading

from pulse_common.bus import Bus
from pulse_common.notices import NoticeRaised
from pulse_local.broker.testing.peer import Peer
from pulse_local.seed import ACME, GLOBEX

if TYPE_CHECKING:
    from email.message import EmailMessage

    from tests.integration.people import Person
    from tests.integration.world import World

pytestmark = pytest.mark.integration
NOT_AUTHORIZED = 0x87
RESCUE = "/api/v1/provision/rescue"


def test_a_device_that_is_given_away_falls_silent_and_begins_anew(
    world: World, alice: Person, mallory: Person
) -> None:
    device = world.enrol(ACME, "Pump for Globex")
    with device.online() as peer:
        peer.publish_and_wait(device.telemetry, reading(given=1))
        peer.publish_and_wait(f"{device.tree}/state", "here", retain=True)
        assert _retained(world, device) == 1
        offered = alice.api.post(
            f"/api/v2/devices/{device.device_id}/transfer", json={"offered_to": GLOBEX}
        )
        assert offered.status_code == 201, offered.text
        transfer = offered.json()["transfer_id"]

        taken = mallory.api.post(f"/api/v2/transfers/{transfer}/accept")

        assert taken.status_code == 201, taken.text
        eventually(peer.is_closed, "the giver's session to be cut")
    eventually(lambda: _code(device) == NOT_AUTHORIZED, "the old certificate to be refused")
    _eventually_revoked(world, device, "affiliationChanged")
    assert _retained(world, device) == 0
    folder = world.folder / taken.json()["device_id"]
    token = taken.json()["enrolment_token"]["token"]
    enrolled = cli(*world.enrol_arguments(token, folder))
    assert enrolled.returncode == 0, enrolled.stderr
    anew = Device(
        tenant_id=GLOBEX,
        device_id=taken.json()["device_id"],
        name="Pump for Globex",
        folder=folder,
        mqtts_port=device.mqtts_port,
    )
    with anew.online() as peer:
        peer.publish_and_wait(anew.telemetry, reading(taken=1))
    # Each side has its own device and nothing of the other's.
    assert mallory.api.get(f"/api/v2/devices/{device.device_id}").status_code == 404
    assert alice.api.get(f"/api/v2/devices/{anew.device_id}").status_code == 404
    assert alice.api.get(f"/api/v2/devices/{device.device_id}").status_code == 200


def test_an_expired_device_comes_back_with_its_key_when_it_is_allowed(
    world: World, alice: Person
) -> None:
    device = world.enrol(ACME, "Sleeper")
    body = _shown_by(device)
    with psycopg.connect(world.superuser, autocommit=True) as rows:
        rows.execute(
            "UPDATE certificates SET not_after = now() - interval '1 minute' WHERE device_id = %s",
            [device.device_id],
        )
    with edge_client(world.stack.environments) as anybody:
        refused = anybody.post(RESCUE, json=body)
        opened = alice.api.post(f"/api/v2/devices/{device.device_id}/rescue", json={})
        rescued = anybody.post(RESCUE, json=body)
        again = anybody.post(RESCUE, json=body)

    assert [one.status_code for one in (refused, opened, rescued)] == [401, 201, 201]
    # It was not used yet, so whoever lost the answer may have it again.
    assert again.json()["serial_number"] == rescued.json()["serial_number"]
    (device.folder / "certificate.pem").write_text(rescued.json()["certificate"])
    with device.online() as peer:
        peer.publish_and_wait(device.telemetry, reading(back=1))


def test_a_notice_is_mailed_to_the_tenant_and_one_click_ends_it(world: World) -> None:
    marks = [f"notice {uuid4()}" for _ in range(3)]

    _raise(world, marks[0])
    mail = eventually(lambda: _mail_about(world, marks[0]), "the tenant's mail")
    assert "alice@acme.example" in mail["to"]
    assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    link = mail["list-unsubscribe"].strip("<>")
    assert link.startswith(world.stack.url)
    with edge_client(world.stack.environments) as anybody:
        assert anybody.get(link).status_code == 200
        _raise(world, marks[1])
        eventually(lambda: _mail_about(world, marks[1]), "a mail after the link was only looked at")
        assert anybody.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    _raise(world, marks[2])

    def is_done() -> bool:
        with psycopg.connect(world.superuser, autocommit=True) as rows:
            found = rows.execute(
                "SELECT 1 FROM notices WHERE title = %s AND told_at IS NOT NULL", [marks[2]]
            ).fetchone()
        return found is not None

    eventually(is_done, "the third notice to be dealt with")
    assert _mail_about(world, marks[2]) is None


def _code(device: Device) -> int | None:
    peer = Peer(device.client(), device.mqtts_port)
    try:
        return peer.connect()
    finally:
        peer.leave()


def _retained(world: World, device: Device) -> int:
    """Count what the broker still tells of a device to whoever subscribes now."""
    with connected(world.witness(), world.stack.ports.mqtt_internal) as witness:
        witness.subscribe(f"{device.tree}/state")
        return len(witness.receive_all())


def _eventually_revoked(world: World, device: Device, reason: str) -> None:
    def is_revoked() -> bool:
        with psycopg.connect(world.superuser, autocommit=True) as rows:
            found = rows.execute(
                "SELECT revocation_reason FROM certificates WHERE device_id = %s AND session_cut_at IS NOT NULL",
                [device.device_id],
            ).fetchone()
        return found == (reason,)

    eventually(is_revoked, "the giver's certificate to be revoked, and its end confirmed")


def _shown_by(device: Device) -> dict[str, str]:
    """Make what a device shows to be rescued: its certificate, and a request that its key signed."""
    certificate = x509.load_pem_x509_certificates((device.folder / "certificate.pem").read_bytes())[
        0
    ]
    key = load_pem_private_key((device.folder / "device-key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return {
        "certificate": certificate.public_bytes(Encoding.PEM).decode(),
        "csr": csr.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode(),
    }


def _raise(world: World, title: str) -> None:
    """Raise a notice as cert_worker does, with its own right to."""

    async def publish() -> None:
        bus = await Bus.connect(
            url=f"nats://127.0.0.1:{world.stack.ports.nats}",
            user="svc_cert_worker",
            password=world.stack.secrets.nats["svc_cert_worker"],
            service="cert_worker",
        )
        notice = NoticeRaised(
            tenant_id=UUID(ACME),
            at=datetime.now(UTC),  # noqa: TID251 -- a test's own clock
            topic="certificates",
            notice_key=title,
            title=title,
            text="Pump 7 expires.",
            path="/expiring",
            to=["alice@acme.example"],
        )
        try:
            await bus.publish_stored(NoticeRaised.subject, notice.to_bytes(), message_id=title)
        finally:
            await bus.close()

    asyncio.run(publish())


def _mail_about(world: World, text: str) -> EmailMessage | None:
    for path in sorted((world.stack.data / "mail").glob("*.eml")):
        content = path.read_bytes()
        if text.encode() in content:
            return email.message_from_bytes(content, policy=policy.default)
    return None
