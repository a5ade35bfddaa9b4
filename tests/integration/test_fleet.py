"""Fleets on the whole stack: claimed, held, approved, imported; and what a claim certificate opens nowhere."""

from __future__ import annotations

import csv
import hashlib
import io
import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from tests.integration.test_est import PKCS10, Client
from tests.integration.waiting import eventually
from tests.integration.world import CLI, Device, cli, connected, new_client

from pulse_local.environments import minimal
from pulse_local.seed import ACME

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.people import Person
    from tests.integration.world import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
FLEETS = "/api/v2/enrolment-profiles"


@pytest.fixture
def client(world: World, tmp_path: Path) -> Client:
    return Client(folder=tmp_path, ca=world.stack.tls.ca, url=world.stack.url)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """An enrolment profile of Acme's, its API path and its EST label."""

    path: str
    est_label: str


def make_fleet(alice: Person, method: str, approval: str = "auto") -> Fleet:
    label = f"f{uuid4().hex[:20]}"
    wanted = {"name": label, "label": label, "method": method, "approval": approval}
    made = alice.api.post(FLEETS, json=wanted)
    assert made.status_code == 201, made.text
    return Fleet(path=f"{FLEETS}/{made.json()['id']}", est_label=made.json()["est_label"])


def issue_claim(alice: Person, client: Client, fleet: Fleet) -> tuple[Path, Path, str]:
    """Return the claim certificate, its key and its id."""
    request = client.key_and_request("claim")
    pem = client.openssl("req", "-inform", "DER", "-in", str(request.with_suffix(".der")))
    made = alice.api.post(f"{fleet.path}/claim-certificates", json={"csr": pem, "days": 30})
    assert made.status_code == 201, made.text
    certificate = client.folder / "claim.pem"
    certificate.write_text(made.json()["certificate"])
    return certificate, client.folder / "claim.key", made.json()["id"]


def arguments(world: World, folder: Path, hardware_id: str, *more: str) -> list[str]:
    where = ["--server", world.stack.url, "--ca", str(world.stack.tls.ca), "--dir", str(folder)]
    return ["enroll", "--hardware-id", hardware_id, *where, *more]


def waiting(alice: Person, fleet: Fleet) -> list[str]:
    found = alice.api.get(f"{fleet.path}/hardware?state=pending").json()["hardware"]
    return [one["hardware_id"] for one in found]


def test_held_device_gets_in_when_it_is_approved_and_its_clone_does_not(
    world: World, alice: Person, client: Client
) -> None:
    fleet = make_fleet(alice, "claim", "hold")
    certificate, key, claim_id = issue_claim(alice, client, fleet)
    shown = ["--claim-cert", str(certificate), "--claim-key", str(key)]
    hardware_id, folder = f"SN-{uuid4()}", client.folder / "device"

    with subprocess.Popen(
        [CLI, *arguments(world, folder, hardware_id, *shown, "--wait", "60")], env=minimal()
    ) as enrolling:
        eventually(lambda: hardware_id in waiting(alice, fleet), "the device among those that wait")
        decision = {"hardware_ids": [hardware_id], "decision": "approve"}
        decided = alice.api.post(f"{fleet.path}/hardware/decisions", json=decision)
        assert decided.json() == {"changed": 1}
        assert enrolling.wait(30) == 0
    clone = cli(*arguments(world, client.folder / "clone", hardware_id, *shown))
    alice.api.delete(f"/api/v2/claim-certificates/{claim_id}")
    late = cli(*arguments(world, client.folder / "late", f"SN-{uuid4()}", *shown))

    [enrolled] = alice.api.get(f"{fleet.path}/hardware?state=enrolled").json()["hardware"]
    device = Device(
        tenant_id=ACME,
        device_id=enrolled["device_id"],
        name=hardware_id,
        folder=folder,
        mqtts_port=world.stack.ports.mqtts,
    )
    with device.online():
        pass
    assert (clone.returncode, "enrolled" in clone.stderr) == (3, True)
    assert (late.returncode, "HTTP status 401" in late.stderr) == (3, True)
    audit = alice.api.get("/api/v2/audit?limit=100").text
    assert "claim_certificate.revoke" in audit


def test_claim_certificate_opens_neither_the_broker_nor_renewal(
    world: World, alice: Person, client: Client, device_a: Device
) -> None:
    certificate, key, _ = issue_claim(alice, client, make_fleet(alice, "claim"))
    tls = ssl.create_default_context(cafile=device_a.folder / "broker-ca.pem")
    tls.load_cert_chain(certificate, key)
    request = client.key_and_request("renewal")
    shown = ("--cert", str(certificate), "--key", str(key))

    for client_id in (device_a.device_id, "claim"):
        stranger = new_client(client_id)
        stranger.tls_set_context(tls)
        with pytest.raises((AssertionError, OSError)), connected(stranger, device_a.mqtts_port):
            pass
    renewed = client.est("simplereenroll", *shown, *PKCS10, "--data-binary", f"@{request}")

    assert renewed[0] == 401


@pytest.mark.parametrize("method", ["claim", "secret", "maker's key"])
def test_device_of_a_fleet_gets_in_by_every_way_and_goes_online(
    world: World, alice: Person, client: Client, method: str
) -> None:
    fleet = make_fleet(alice, "claim" if method == "claim" else "hardware")
    hardware_id, folder = f"SN-{uuid4()}", client.folder / "device"
    match method:
        case "claim":
            certificate, key, _ = issue_claim(alice, client, fleet)
            shown = ["--claim-cert", str(certificate), "--claim-key", str(key)]
        case "secret":
            wanted = {"items": [{"hardware_id": hardware_id}], "secrets": True}
            registered = alice.api.post(f"{fleet.path}/hardware", json=wanted)
            shown = ["--token", registered.json()["secrets"][0]["secret"]]
        case _:
            maker = {"hardware_id": hardware_id, "maker_key_sha256": maker_key(client, "maker")}
            registered = alice.api.post(f"{fleet.path}/hardware", json={"items": [maker]})
            assert registered.is_success, registered.text
            shown = ["--label", fleet.est_label, "--maker-key"]
            maker_key(client, "thief")
            stolen = cli(
                *arguments(world, folder, hardware_id, *shown, str(client.folder / "thief.key"))
            )
            assert (stolen.returncode, "HTTP status 401" in stolen.stderr) == (3, True)
            shown.append(str(client.folder / "maker.key"))

    enrolled = cli(*arguments(world, folder, hardware_id, *shown))

    assert enrolled.returncode == 0, enrolled.stderr
    [known] = alice.api.get(f"{fleet.path}/hardware?state=enrolled").json()["hardware"]
    device = Device(
        tenant_id=ACME,
        device_id=known["device_id"],
        name=hardware_id,
        folder=folder,
        mqtts_port=world.stack.ports.mqtts,
    )
    with device.online():
        pass


def maker_key(client: Client, name: str) -> str:
    """Make a key as a maker would, and return the fingerprint that is registered."""
    key, public = client.folder / f"{name}.key", client.folder / f"{name}.pub"
    client.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key))
    client.openssl("ec", "-in", str(key), "-pubout", "-outform", "DER", "-out", str(public))
    return hashlib.sha256(public.read_bytes()).hexdigest()


def test_est_label_names_a_fleet(world: World, alice: Person, client: Client) -> None:
    held, known = make_fleet(alice, "claim", "hold"), make_fleet(alice, "hardware")
    certificate, key, _ = issue_claim(alice, client, held)
    hardware_id = f"SN-{uuid4()}"
    registered = alice.api.post(
        f"{known.path}/hardware", json={"items": [{"hardware_id": hardware_id}], "secrets": True}
    )
    secret = registered.json()["secrets"][0]["secret"]
    request = client.key_and_request("device")
    body = (*PKCS10, "--data-binary", f"@{request}")
    shown = ("--cert", str(certificate), "--key", str(key))

    waits = client.est("simpleenroll", *shown, *body, label=held.est_label)
    elsewhere = client.est("simpleenroll", *shown, *body, label=known.est_label)
    given = client.est(
        "simpleenroll", "--user", f"{hardware_id}:{secret}", *body, label=known.est_label
    )
    authorities = client.est("cacerts", label=known.est_label)
    nobody = client.est("cacerts", label=f"{ACME}.nobody")
    absent = client.est("fullcmc", "--data-binary", "x", label=known.est_label)

    assert (waits[0], "\nretry-after: 5\n" in waits[1]) == (202, True)
    assert elsewhere[0] == 401
    assert given[0] == 200
    assert authorities[0] == 200
    assert (nobody[0], absent[0]) == (404, 501)
    chain = client.certificates(authorities[2], "authorities")
    found = client.certificates(given[2], "device")
    client.openssl("verify", "-CAfile", str(chain), "-purpose", "sslclient", str(found))
    assert world.stack.url


def test_imported_devices_enrol_with_the_tokens_that_were_handed_out_once(
    world: World, alice: Person, client: Client
) -> None:
    mark = uuid4().hex[:8]
    rows = "".join(f"{mark}-{n},Meter {n}\r\n" for n in range(1200))
    data = ("\ufeffhardware_id;name\r\n" + rows.replace(",", ";") + "no id;x\r\n").encode()
    answer = alice.api.post("/api/v2/imports", json={"format": "csv", "with_tokens": True})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    path = f"/api/v2/imports/{made['id']}"

    for at in (0, 10_000):
        part = data[at : at + 12_000] if at == 0 else data[at:]
        sent = alice.api.put(f"{path}/content?at_byte={at}", content=part)
        assert sent.status_code == 200, sent.text
    assert alice.api.post(f"{path}/start").json()["state"] == "running"
    done = eventually(
        lambda: found if (found := alice.api.get(path).json())["state"] == "done" else None,
        "the end of the import",
        60,
    )
    taken = alice.api.post(f"{path}/tokens")
    again = alice.api.post(f"{path}/tokens")
    problems = alice.api.get(f"{path}/problems.csv").text

    tokens = list(csv.DictReader(io.StringIO(taken.text)))
    assert (done["created_devices"], done["refused_rows"]) == (1200, 1)
    assert len(tokens) == 1200
    assert again.status_code == 409
    assert problems.splitlines()[1].startswith("1202,")
    folder = client.folder / "device"
    assert cli(*world.enrol_arguments(tokens[-1]["token"], folder)).returncode == 0
