"""The demo: two tenants and three devices, made through the public doors as a customer would make them."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx2

from pulse_local.environments import minimal
from pulse_local.parts import module_command
from pulse_local.readiness import at_once

if TYPE_CHECKING:
    from pathlib import Path

    from pulse_local.processes import Part
    from pulse_local.stack import Stack

ACME = "11111111-1111-4111-8111-111111111111"
GLOBEX = "22222222-2222-4222-8222-222222222222"
TENANTS = {ACME: "Acme", GLOBEX: "Globex"}
# Folder and part name -> what people call the device.
DEVICES = {
    "workshop-sensor": "Workshop sensor",
    "greenhouse-gateway": "Greenhouse gateway",
    "cold-store-monitor": "Cold-store monitor",
}
PEOPLE = {
    "alice@acme.example": "Acme, tenant admin",
    "bob@acme.example": "Acme, customer",
    "mallory@globex.example": "Globex, tenant admin",
    "olivia@pulse.example": "operator",
    "otto@pulse.example": "operator, may change",
}
_SECONDS_TO_ENROL = 60


class SeedError(Exception):
    """A door did not let the demo in; the message says which and where its log is."""


@dataclass(frozen=True, kw_only=True)
class DemoDevice:
    """One demo device: its part's name, what people call it, its folder."""

    part: str
    name: str
    folder: Path

    @property
    def is_enrolled(self) -> bool:
        # pulse-device writes this file last.
        return (self.folder / "config.json").exists()


def seed_tenants(stack: Stack) -> None:
    """Make both tenants, or find them made."""
    with _admin(stack) as client:
        for tenant_id, name in TENANTS.items():
            _expect(
                stack,
                client.put(f"/api/v1/provision/tenants/{tenant_id}", json={"name": name}),
                HTTPStatus.OK,
                HTTPStatus.CREATED,
            )


def demo_devices(stack: Stack) -> list[DemoDevice]:
    """Give Acme's demo devices, enrolled or not."""
    return [
        DemoDevice(part=part, name=name, folder=stack.data / "devices" / part)
        for part, name in DEVICES.items()
    ]


def enrol_device(stack: Stack, device: DemoDevice) -> None:
    """Create the device and enrol it with the customers' own CLI, unless an earlier run did."""
    if device.is_enrolled:
        return
    with _admin(stack) as client:
        device_id = _created_once(stack, client, device)
        token = _expect(
            stack,
            client.post(
                f"/api/v1/provision/devices/{device_id}/enrolment-tokens",
                json={"tenant_id": ACME},
            ),
            HTTPStatus.CREATED,
        )["token"]
    _run_enrol(stack, device, str(token))


def start_device(stack: Stack, device: DemoDevice) -> Part:
    """Run the device: this machine's own readings every two seconds, over mutual TLS."""
    command = module_command(
        device.part,
        ("pulse_device", "run", "--dir", str(device.folder), "--interval", "2"),
        minimal(),
        at_once,
    )
    part = stack.add_part(command, frozenset({"broker"}))
    part.start()
    return part


def _created_once(stack: Stack, client: httpx2.Client, device: DemoDevice) -> str:
    # Remembered before the enrolment: a run that is cut short in between makes no second device.
    remembered = stack.data / "devices" / f"{device.part}.json"
    if remembered.exists():
        return str(json.loads(remembered.read_text(encoding="utf-8"))["id"])
    created = _expect(
        stack,
        client.post("/api/v1/provision/devices", json={"tenant_id": ACME, "name": device.name}),
        HTTPStatus.CREATED,
    )
    remembered.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    remembered.write_text(json.dumps({"id": created["id"]}), encoding="utf-8")
    return str(created["id"])


def _run_enrol(stack: Stack, device: DemoDevice, token: str) -> None:
    log = stack.logs / f"{device.part}.log"
    with log.open("ab") as output:
        finished = subprocess.run(  # noqa: S603 - the arguments are this module's own
            [
                *(sys.executable, "-P", "-m", "pulse_device", "enroll"),
                *("--server", stack.url, "--ca", str(stack.tls.ca), "--dir", str(device.folder)),
            ],
            # In the environment, since every user of the machine can read a command line.
            env={**minimal(), "PULSE_ENROLMENT_TOKEN": token},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS_TO_ENROL,
            check=False,
        )
    if finished.returncode != 0:
        raise SeedError(
            f"The demo device {device.name!r} could not be enrolled "
            f"(exit code {finished.returncode}).\n"
            f"  its log: {log}\n"
            f"  the service that answered it: {stack.logs / 'provision_api.log'}"
        )


def _admin(stack: Stack) -> httpx2.Client:
    return httpx2.Client(
        base_url=stack.url,
        headers={"x-pulse-admin-key": stack.secrets.provision_admin_key},
        verify=ssl.create_default_context(cafile=str(stack.tls.ca)),
        # No proxy of the caller's: the door is on this machine.
        trust_env=False,
        timeout=30,
    )


def _expect(stack: Stack, response: httpx2.Response, *wanted: HTTPStatus) -> dict[str, object]:
    if response.status_code not in wanted:
        raise SeedError(
            f"provision_api answered {response.status_code} to "
            f"{response.request.method} {response.request.url.path}: {response.text[:500]}\n"
            f"  log: {stack.logs / 'provision_api.log'}"
        )
    answer = response.json()
    if not isinstance(answer, dict):
        raise SeedError(f"provision_api answered {response.request.url.path} with no object")
    return answer
