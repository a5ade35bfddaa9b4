"""What docs/operations/auditor.md tells an auditor to run does what it says, on a running stack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.people import edge_client
from tests.integration.waiting import eventually
from tests.parts import ROOT

from pulse_local.database import database_url
from pulse_local.environments import minimal
from pulse_local.seed import GLOBEX

if TYPE_CHECKING:
    from tests.integration.people import Person
    from tests.integration.world import Device, World

pytestmark = pytest.mark.integration


def run(command: str, *arguments: object, **environment: str) -> tuple[int, str]:
    """Run a command of this checkout as somebody at a terminal does, and return how it ended and what it said."""
    program = Path(sys.executable).with_name(command)
    done = subprocess.run(
        [program, *map(str, arguments)],
        env={**minimal(), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def dead(world: World, device: Device) -> tuple[int, str]:
    broker = (
        "--broker",
        f"localhost:{device.mqtts_port}",
        "--key",
        device.folder / "device-key.pem",
    )
    return run(
        "pulse-admin",
        *("certificate", "dead", device.folder / "certificate.pem"),
        *("--authority", device.folder / "chain.pem"),
        *(*broker, "--broker-ca", device.folder / "broker-ca.pem"),
    )


def test_tenants_are_apart_by_one_command(world: World) -> None:
    url = database_url(
        "svc_ui_iot", world.stack.secrets.database["svc_ui_iot"], world.stack.ports.postgres
    )

    code, said = run(
        *("pulse-admin", "isolation", "check", "--declared", ROOT / "db" / "access.txt"),
        PULSE_ADMIN_DATABASE_URL=url,
    )

    assert (code, "tenants are kept apart" in said) == (0, True), said


def test_revoked_certificate_is_dead_at_every_door(world: World, mallory: Person) -> None:
    device = world.enrol(GLOBEX, "Suspect")

    alive = dead(world, device)
    revoked = mallory.api.post(
        f"/api/v2/devices/{device.device_id}/revoke", json={"reason": "keyCompromise"}
    )
    eventually(lambda: dead(world, device)[0] == 0, "death at every door")
    code, said = dead(world, device)

    assert (alive[0], alive[1].count("ALIVE")) == (1, 3), alive[1]
    assert revoked.status_code == 200, revoked.text
    assert (code, said.count("dead ")) == (0, 3), said


def test_nobody_edited_the_log_and_one_letter_is_found(
    world: World, mallory: Person, tmp_path: Path
) -> None:
    heads, export, key = (tmp_path / name for name in ("heads.jsonl", "export.jsonl", "seal.pub"))
    with edge_client(world.stack.environments) as anybody:
        base = f"http://localhost:{world.stack.ports.edge_http}"
        key.write_bytes(anybody.get(f"{base}/pki/audit-seal.pub").content)
    folder = world.stack.data / "ca" / "audit-heads"
    eventually(lambda: any(GLOBEX in path.read_text() for path in folder.iterdir()), "a head")
    heads.write_text("".join(path.read_text() for path in sorted(folder.glob("heads-*.jsonl"))))
    taken = mallory.api.get("/api/v2/audit/export", params={"format": "sealed"})
    assert taken.status_code == 200, taken.text
    export.write_bytes(taken.content)
    outside = ("--key", key, "--head", heads, "--tenant", GLOBEX)

    sound = run("pulse-audit", "verify", export, *outside)
    lines = export.read_text().splitlines(keepends=True)
    number, row = next(
        (n, json.loads(line)["row"]) for n, line in enumerate(lines) if '{"row"' in line
    )
    lines[number] = lines[number].replace(row["actor_id"], f"{row['actor_id']}x")
    export.write_text("".join(lines))
    edited = run("pulse-audit", "verify", export, *outside)

    assert sound[0] == 0, sound[1]
    assert edited[0] == 1, edited[1]
    assert f"row {row['audit_id']} at position 0 was altered" in edited[1]
