"""Operators see how one authority follows another; operator-admins take the steps, each with their name and reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.ui_iot.tests.operator import Person
from services.ui_iot.tests.rig import NOW

from pulse_common import events_rollover as wire
from pulse_common.errors import Conflict

if TYPE_CHECKING:
    from services.ui_iot.tests.rig import Browser, Rig

    from pulse_common.events import Call

pytestmark = pytest.mark.anyio

NEW, OLD, ROLLOVER = uuid4(), uuid4(), uuid4()
ISSUER = wire.IssuerSeen(
    issuer_id=NEW,
    profile="device",
    status="standby",
    not_after=NOW + timedelta(days=900),
    fingerprint_sha256="0a" * 32,
)
SEEN = wire.RolloverSeen(
    rollover_id=ROLLOVER,
    profile="device",
    old_issuer_id=OLD,
    new_issuer_id=NEW,
    state="distributing",
    least_share=0.95,
    drain_days=30,
    draining_at=None,
    created_at=NOW,
    changed_at=NOW,
    devices=8,
    trusting=6,
    holding=1,
    left=7,
    next_state="dual_trust",
    previous_state="planned",
    conditions=(wire.Condition(name="fleet trusts it", met=False, found="6 of 8 devices"),),
)


@dataclass
class Ca:
    """cert_worker, reduced to its answers."""

    asked: list[Call] = field(default_factory=list)
    refusal: Conflict | None = None

    async def overview(self, _: wire.RolloversRequest) -> wire.RolloversReply:
        return wire.RolloversReply(issuers=(ISSUER,), rollovers=(SEEN,))

    async def plan(self, call: wire.PlanRolloverRequest) -> wire.RolloverSeen:
        return self._note(call)

    async def step(self, call: wire.StepRolloverRequest) -> wire.RolloverSeen:
        return self._note(call)

    async def activate(self, call: wire.ActivateIssuerRequest) -> wire.IssuerReply:
        self._note(call)
        return wire.IssuerReply(issuer=ISSUER)

    def _note(self, call: Call) -> wire.RolloverSeen:
        self.asked.append(call)
        if self.refusal:
            raise self.refusal
        return SEEN


@pytest.fixture
async def ca(rig: Rig) -> Ca:
    answering = Ca()
    await rig.bus.answer(wire.RolloversRequest, answering.overview)
    await rig.bus.answer(wire.PlanRolloverRequest, answering.plan)
    await rig.bus.answer(wire.StepRolloverRequest, answering.step)
    await rig.bus.answer(wire.ActivateIssuerRequest, answering.activate)
    return answering


async def operator(rig: Rig, role: str) -> Browser:
    claims = {"realm_access": {"roles": [role]}, "auth_time": int(NOW.timestamp())}
    browser = await rig.log_in(rig.browser(), tenant_id=..., **claims)
    await browser.page("/operator/reason")
    await browser.submit("/operator/reason", reason="ticket 12", next="/operator/tenants")
    return browser


async def test_page_shows_how_far_it_is_and_what_the_next_step_waits_for(rig: Rig, ca: Ca) -> None:
    page = await (await operator(rig, "operator")).page("/operator/authorities")

    assert page.status_code == 200, page.text
    for said in ("Distributing", "(75.0 %)", "(12.5 %)", "not yet: 6 of 8 devices", str(NEW)):
        assert said in page.text
    assert 'data-testid="step"' not in page.text, "an operator reads"
    assert 'data-testid="plan"' not in page.text
    looked = rig.superuser.execute(
        "SELECT DISTINCT reason FROM audit_log WHERE action = 'operator.read'"
        " AND details ->> 'purpose' = 'look at the authorities'"
    ).fetchall()
    assert looked == [("ticket 12",)]


async def test_operator_admin_takes_steps_on_the_page_with_name_and_reason(
    rig: Rig, ca: Ca
) -> None:
    otto = await operator(rig, "operator-admin")
    await otto.page("/operator/authorities")

    for act, given in (
        ("plan", {"id": str(NEW), "least_percent": "90", "drain_days": "7"}),
        ("step", {"id": str(ROLLOVER), "from_state": "distributing", "seen": "yes"}),
        ("back", {"id": str(ROLLOVER), "from_state": "distributing"}),
        ("activate", {"id": str(NEW)}),
    ):
        sent = await otto.submit("/operator/authorities", act=act, **given)
        assert (sent.status_code, sent.headers["location"]) == (303, "/operator/authorities")

    plan, step, back, activate = ca.asked
    assert isinstance(plan, wire.PlanRolloverRequest)
    assert (plan.least_share, plan.drain_days, plan.reason) == (0.9, 7, "ticket 12")
    assert isinstance(step, wire.StepRolloverRequest)
    assert (step.direction, step.broker_seen_to) == ("forward", True)
    assert isinstance(back, wire.StepRolloverRequest)
    assert (back.direction, back.from_state) == ("back", "distributing")
    assert isinstance(activate, wire.ActivateIssuerRequest)
    assert activate.actor_kind == "operator"


async def test_refused_step_is_shown_with_its_reason(rig: Rig, ca: Ca) -> None:
    otto = await operator(rig, "operator-admin")
    await otto.page("/operator/authorities")
    ca.refusal = Conflict("the next step waits for fleet trusts it: 6 of 8 devices")

    sent = await otto.submit(
        "/operator/authorities", act="step", id=str(ROLLOVER), from_state="distributing"
    )

    assert sent.status_code == 409
    assert "the next step waits for" in sent.text


@pytest.mark.parametrize(
    "form",
    [
        {"act": "burn"},
        {"act": "plan", "id": "x"},
        {"act": "plan", "id": str(NEW), "least_percent": "many"},
        {"act": "plan", "id": str(NEW), "least_percent": "101"},
        {"act": "step", "id": str(ROLLOVER), "from_state": "nowhere"},
    ],
)
async def test_nonsense_asks_nobody(rig: Rig, ca: Ca, form: dict[str, str]) -> None:
    otto = await operator(rig, "operator-admin")
    await otto.page("/operator/authorities")

    sent = await otto.submit("/operator/authorities", **form)

    assert (sent.status_code, ca.asked) == (400, [])


async def test_program_takes_the_same_steps(rig: Rig, ca: Ca) -> None:
    admin = Person(rig)
    one, step = f"/rollovers/{ROLLOVER}", {"from_state": "distributing"}

    answers = [
        await admin.get("/rollovers"),
        await admin.post("/rollovers", {"new_issuer_id": str(NEW)}),
        await admin.post(f"{one}/step", step),
        await admin.post(f"{one}/back", step),
        await admin.post(f"/issuers/{NEW}/activate"),
    ]

    assert [answer.status_code for answer in answers] == [200, 201, 200, 200, 200]
    assert answers[0].json()["rollovers"][0]["trusting"] == 6
    assert {getattr(call, "actor_id", None) for call in ca.asked} == {admin.subject}


async def test_steps_need_a_recent_log_in_and_an_operator_admin(rig: Rig, ca: Ca) -> None:
    stale = int((NOW - timedelta(days=1)).timestamp())
    one, step = f"/rollovers/{ROLLOVER}/step", {"from_state": "distributing"}

    tired = await Person(rig, auth_time=stale).post(one, step)
    reader = await Person(rig, "operator").post(one, step)

    assert (tired.status_code, reader.status_code) == (401, 403)
    assert ca.asked == []
