"""Profiles, fleets and imports through the UI's own doors: asked in the person's name, shown to their tenant alone."""

from __future__ import annotations

import base64
import csv
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from pulse_common import events, events_fleet, events_profiles
from pulse_common.errors import Conflict, Stale
from ui_iot.fleet.import_api import csv_line

if TYPE_CHECKING:
    from datetime import datetime

    from services.ui_iot.tests.neighbours import Neighbours
    from services.ui_iot.tests.rig import Browser, Rig

    from pulse_common.bus import Bus

pytestmark = pytest.mark.anyio
PROFILES = "/api/v2/device-profiles"
SCRIPT = "<script>alert(1)</script>"


@dataclass
class Provisioning:
    """provision_api, reduced to its answers; keeps the bytes of imports."""

    rig: Rig
    asked: list[events.Call] = field(default_factory=list)
    parts: list[tuple[int, bytes]] = field(default_factory=list)
    refusal: Exception | None = None

    async def listen(self, bus: Bus) -> None:
        await bus.answer(events_profiles.CreateProfileRequest, self.create)
        await bus.answer(events_profiles.ChangeProfileRequest, self.change)
        await bus.answer(events_fleet.SendImportPartRequest, self.part)
        await bus.answer(events_fleet.ImportTokensRequest, self.tokens)

    async def create(self, call: events_profiles.CreateProfileRequest) -> events.Wire:
        self._hear(call)
        [tenant] = self.rig.superuser.execute(
            "SELECT tenant_id FROM tenants WHERE name = 'Acme' ORDER BY created_at DESC LIMIT 1"
        ).fetchone() or [None]
        self.rig.superuser.execute(
            "INSERT INTO device_profiles (tenant_id, profile_id, name) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [tenant, call.profile_id, call.wanted.name],
        )
        return events_profiles.ProfileReply(profile_id=call.profile_id, version=1)

    async def change(self, call: events_profiles.ChangeProfileRequest) -> events.Wire:
        self._hear(call)
        return events_profiles.ProfileReply(profile_id=call.profile_id, version=2)

    async def part(self, call: events_fleet.SendImportPartRequest) -> events.Wire:
        self._hear(call)
        data = base64.b64decode(call.data_base64)
        self.parts.append((call.at_byte, data))
        return events_fleet.ImportReply(
            import_id=call.import_id, state="uploading", received_bytes=call.at_byte + len(data)
        )

    async def tokens(self, call: events_fleet.ImportTokensRequest) -> events.Wire:
        self._hear(call)
        line = call.after_line + 1
        token = events_fleet.ImportToken(
            line=line,
            hardware_id=f"SN-{line}",
            device_id=uuid4(),
            token=f"pet_{line}",
            expires_at=self.rig.now,
        )
        return events_fleet.ImportTokensReply(tokens=[token], more=line < 3)

    def _hear(self, call: events.Call) -> None:
        self.asked.append(call)
        if self.refusal is not None:
            raise self.refusal


@pytest.fixture
async def provisioning(rig: Rig) -> Provisioning:
    made = Provisioning(rig)
    await made.listen(rig.bus)
    return made


def add_profile(rig: Rig, tenant: UUID, name: str = "Meters") -> UUID:
    profile = uuid4()
    rig.superuser.execute(
        "INSERT INTO device_profiles (tenant_id, profile_id, name, telemetry_schema) VALUES (%s, %s, %s, %s)",
        [tenant, profile, name, Jsonb({"title": SCRIPT})],
    )
    return profile


def add_import(rig: Rig, tenant: UUID, at: datetime | None = None) -> UUID:
    made = uuid4()
    rig.superuser.execute(
        "INSERT INTO device_imports (tenant_id, import_id, format, state, with_tokens, created_by, finished_at)"
        " VALUES (%s, %s, 'csv', 'done', true, 'alice', %s)",
        [tenant, made, at],
    )
    return made


def add_fleet(rig: Rig, tenant: UUID) -> UUID:
    made = uuid4()
    rig.superuser.execute(
        "INSERT INTO enrolment_profiles (tenant_id, enrolment_profile_id, name, label, method, approval)"
        " VALUES (%s, %s, %s, 'meters', 'claim', 'hold')",
        [tenant, made, SCRIPT],
    )
    rig.superuser.execute(
        "INSERT INTO hardware_ids (tenant_id, hardware_id, enrolment_profile_id, state, asked_key_sha256, asked_at)"
        " VALUES (%s, 'SN-1', %s, 'pending', sha256('k'), now())",
        [tenant, made],
    )
    return made


async def test_profile_is_made_in_the_persons_name_and_once_for_a_key(
    alice: Browser, provisioning: Provisioning
) -> None:
    headers = {"x-csrf-token": alice.csrf, "idempotency-key": "k1"}

    answers = [
        await alice.post(PROFILES, json={"name": "Meters"}, headers=headers) for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    [asked] = provisioning.asked
    assert isinstance(asked, events_profiles.CreateProfileRequest)
    assert asked.access_token


async def test_change_says_which_version_it_is_for(
    rig: Rig, alice: Browser, acme: UUID, provisioning: Provisioning
) -> None:
    path = f"{PROFILES}/{add_profile(rig, acme)}"
    etag = (await alice.get(path)).headers["etag"]
    headers = {"x-csrf-token": alice.csrf}

    without = await alice.put(path, json={"name": "M"}, headers=headers)
    changed = await alice.put(path, json={"name": "M"}, headers=headers | {"if-match": etag})
    provisioning.refusal = Stale("changed")
    late = await alice.put(path, json={"name": "M"}, headers=headers | {"if-match": "*"})

    assert (without.status_code, changed.status_code, late.status_code) == (428, 200, 412)
    asked = provisioning.asked[0]
    assert isinstance(asked, events_profiles.ChangeProfileRequest)
    assert asked.version == 1


async def test_everything_is_its_tenants_alone(rig: Rig, alice: Browser, acme: UUID) -> None:
    globex = rig.tenant("Globex")
    theirs = {
        f"{PROFILES}/{add_profile(rig, globex)}",
        f"/api/v2/enrolment-profiles/{add_fleet(rig, globex)}",
        f"/api/v2/imports/{add_import(rig, globex)}",
    }
    add_profile(rig, acme)

    for path in theirs:
        assert (await alice.get(path)).status_code == 404
        page = (
            path.replace("/api/v2", "")
            .replace("device-", "")
            .replace("enrolment-profiles", "fleets")
        )
        assert (await alice.page(page)).status_code == 404
    assert len((await alice.get(PROFILES)).json()["profiles"]) == 1
    assert (await alice.get("/api/v2/imports")).json() == {"imports": []}


async def test_bytes_of_an_import_are_handed_on_part_by_part(
    rig: Rig, alice: Browser, acme: UUID, provisioning: Provisioning
) -> None:
    made = add_import(rig, acme)
    size = events_fleet.LARGEST_PART_BYTES
    data = bytes(n % 251 for n in range(2 * size + 10))

    answer = await alice.put(
        f"/api/v2/imports/{made}/content?at_byte=7",
        content=data,
        headers={"x-csrf-token": alice.csrf},
    )

    assert answer.json()["received_bytes"] == 7 + len(data)
    assert [at for at, _ in provisioning.parts] == [7, 7 + size, 7 + 2 * size]
    assert b"".join(part for _, part in provisioning.parts) == data


async def test_tokens_come_as_a_file_page_after_page(
    rig: Rig, alice: Browser, acme: UUID, provisioning: Provisioning
) -> None:
    path = f"/api/v2/imports/{add_import(rig, acme)}/tokens"

    taken = await alice.post(path, headers={"x-csrf-token": alice.csrf})
    provisioning.refusal = Conflict("taken")
    again = await alice.post(path, headers={"x-csrf-token": alice.csrf})

    rows = list(csv.reader(io.StringIO(taken.text)))
    assert rows[0] == ["line", "hardware_id", "device_id", "token", "expires_at"]
    assert [row[3] for row in rows[1:]] == ["pet_1", "pet_2", "pet_3"]
    assert taken.headers["cache-control"] == "no-store"
    assert again.status_code == 409


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_of_a_file_begins_a_formula(text: str) -> None:
    [row] = csv.reader(io.StringIO(csv_line([text, "a,b"]), newline=""))

    assert row == [f"'{text}", "a,b"]


async def test_pages_show_what_there_is_and_run_none_of_it(
    rig: Rig, alice: Browser, acme: UUID
) -> None:
    profile, fleet, made = (
        add_profile(rig, acme, SCRIPT),
        add_fleet(rig, acme),
        add_import(rig, acme),
    )
    device = rig.device(acme)
    rig.superuser.execute(
        "INSERT INTO device_import_rows (tenant_id, import_id, line, problem) VALUES (%s, %s, 2, %s)",
        [acme, made, SCRIPT],
    )
    expected = {
        "/profiles": "profile-row",
        f"/profiles/{profile}": "telemetry-schema",
        f"/devices/{device}/profile": "assign-profile",
        "/fleets": "fleet-row",
        f"/fleets/{fleet}": "pending-row",
        "/imports": "import-row",
        f"/imports/{made}": "problem-row",
    }

    for path, mark in expected.items():
        page = await alice.page(path)
        assert page.status_code == 200, path
        assert f'data-testid="{mark}"' in page.text, path
        assert "<script>alert" not in page.text, path
        assert (await alice.page(f"/profiles/{SCRIPT}")).status_code == 404


async def test_new_device_may_get_a_profile_from_the_form_and_by_the_api(
    rig: Rig, alice: Browser, acme: UUID, neighbours: Neighbours
) -> None:
    profile = add_profile(rig, acme)

    form = await alice.page("/devices/new")
    await alice.submit("/devices", name="Lamp", profile_id=str(profile))
    await alice.post(
        "/api/v2/devices",
        json={"name": "Lamp", "profile_id": str(profile)},
        headers={"x-csrf-token": alice.csrf},
    )
    bad = await alice.post(
        "/api/v2/devices",
        json={"name": "Lamp", "profile_id": "no id"},
        headers={"x-csrf-token": alice.csrf},
    )

    assert str(profile) in form.text
    created = [one for one in neighbours.asked if isinstance(one, events.CreateDeviceRequest)]
    assert [one.profile_id for one in created] == [profile, profile]
    assert bad.status_code == 400
