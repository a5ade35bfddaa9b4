"""What expires, is rescued and goes to another tenant: on pages and by API, each tenant its own side alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.ui_iot.tests.certificates import add_certificate

from pulse_common.errors import Conflict
from pulse_common.events_rescue import (
    CloseRescueRequest,
    OpenRescueRequest,
    RescueClosed,
    RescueReply,
)
from pulse_common.events_transfer import (
    AcceptDeviceRequest,
    AcceptReply,
    DeclineDeviceRequest,
    OfferDeviceRequest,
    OfferReply,
    TransferChanged,
    WithdrawOfferRequest,
)

if TYPE_CHECKING:
    from services.ui_iot.tests.rig import Browser, Rig

    from pulse_common.events import Call

pytestmark = pytest.mark.anyio


@dataclass
class Provisioning:
    """provision_api, reduced to its answers."""

    now: datetime
    refusal: Conflict | None = None
    made: UUID = field(default_factory=uuid4)
    asked: list[Call] = field(default_factory=list)

    def hear(self, call: Call) -> None:
        self.asked.append(call)
        if self.refusal is not None:
            raise self.refusal

    async def open(self, call: OpenRescueRequest) -> RescueReply:
        self.hear(call)
        ends = self.now + timedelta(seconds=call.seconds)
        return RescueReply(rescue_id=uuid4(), serial_number="0a", ends_at=ends)

    async def close(self, call: CloseRescueRequest) -> RescueClosed:
        self.hear(call)
        return RescueClosed(closed=True)

    async def offer(self, call: OfferDeviceRequest) -> OfferReply:
        self.hear(call)
        return OfferReply(transfer_id=uuid4(), expires_at=self.now)

    async def change(self, call: WithdrawOfferRequest | DeclineDeviceRequest) -> TransferChanged:
        self.hear(call)
        return TransferChanged()

    async def accept(self, call: AcceptDeviceRequest) -> AcceptReply:
        self.hear(call)
        return AcceptReply(
            device_id=self.made, name="pump-7", token="pet_once", expires_at=self.now
        )


@pytest.fixture
async def provisioning(rig: Rig) -> Provisioning:
    made = Provisioning(rig.now)
    await rig.bus.answer(OpenRescueRequest, made.open)
    await rig.bus.answer(CloseRescueRequest, made.close)
    await rig.bus.answer(OfferDeviceRequest, made.offer)
    await rig.bus.answer(WithdrawOfferRequest, made.change)
    await rig.bus.answer(DeclineDeviceRequest, made.change)
    await rig.bus.answer(AcceptDeviceRequest, made.accept)
    return made


def offer(rig: Rig, giver: UUID, taker: UUID, device: UUID) -> UUID:
    """Make both rows of an offer, as provision_api would."""
    transfer, until = uuid4(), rig.now + timedelta(days=7)
    rig.superuser.execute(
        "INSERT INTO device_transfers (tenant_id, transfer_id, device_id, offered_to, offered_at, offered_by,"
        " expires_at) VALUES (%s, %s, %s, %s, %s, 'alice', %s)",
        [giver, transfer, device, taker, rig.now, until],
    )
    rig.superuser.execute(
        "INSERT INTO device_arrivals (tenant_id, transfer_id, from_tenant, from_name, device_name, offered_at,"
        " expires_at) VALUES (%s, %s, %s, 'Acme', 'pump-7', %s, %s)",
        [taker, transfer, giver, rig.now, until],
    )
    return transfer


async def test_what_expires_soon_is_listed_and_what_was_renewed_is_not(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    soon, gone, renewed, later = (
        rig.device(acme, name) for name in ("soon", "gone", "new", "late")
    )
    for device, days in ((soon, 5), (gone, -3), (renewed, 4), (renewed, 80), (later, 31)):
        add_certificate(
            rig, acme, device, serial_number=f"{days + 10:x}", ends=rig.now + timedelta(days=days)
        )

    answer = await alice.get("/api/v2/expiring")
    page = await alice.page("/expiring")

    names = [one["device_name"] for one in answer.json()["devices"]]
    assert names == ["gone", "soon"]
    assert page.text.count('data-testid="expiring"') == 2
    assert "Expired" in page.text


async def test_an_expired_device_is_rescued_from_its_page(
    rig: Rig, acme: UUID, alice: Browser, provisioning: Provisioning
) -> None:
    device = rig.device(acme)
    add_certificate(rig, acme, device, ends=rig.now - timedelta(days=1))
    page = await alice.page(f"/devices/{device}")
    assert 'data-testid="rescue"' in page.text

    answer = await alice.submit(f"/devices/{device}/rescue")
    rig.superuser.execute(
        "INSERT INTO device_rescues (tenant_id, rescue_id, device_id, certificate_id, opened_at, opened_by, ends_at)"
        " VALUES (%s, %s, %s, %s, %s, 'alice', %s)",
        [acme, uuid4(), device, uuid4(), rig.now, rig.now + timedelta(days=1)],
    )
    shown = await alice.page(f"/devices/{device}")
    closed = await alice.submit(f"/devices/{device}/rescue/close")

    assert (answer.status_code, closed.status_code) == (303, 303)
    assert [type(call) for call in provisioning.asked] == [OpenRescueRequest, CloseRescueRequest]
    assert 'data-testid="rescue-open"' in shown.text


async def test_a_device_whose_certificate_counts_has_no_rescue_on_its_page(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    device = rig.device(acme)
    add_certificate(rig, acme, device, ends=rig.now + timedelta(days=1))

    page = await alice.page(f"/devices/{device}")

    assert 'data-testid="rescue"' not in page.text
    assert 'data-testid="offer"' in page.text


async def test_a_rescue_by_api_says_how_long(
    rig: Rig, acme: UUID, provisioning: Provisioning
) -> None:
    device, bearer = rig.device(acme), rig.bearer(acme)
    http = rig.browser()

    usual = await http.post(f"/api/v2/devices/{device}/rescue", headers=bearer, json={})
    hour = await http.post(
        f"/api/v2/devices/{device}/rescue", headers=bearer, json={"seconds": 3600}
    )
    ever = await http.post(
        f"/api/v2/devices/{device}/rescue", headers=bearer, json={"seconds": 10**7}
    )
    closed = await http.delete(f"/api/v2/devices/{device}/rescue", headers=bearer)
    provisioning.refusal = Conflict("its certificate counts")
    refused = await http.post(f"/api/v2/devices/{device}/rescue", headers=bearer, json={})

    statuses = [one.status_code for one in (usual, hour, ever, closed, refused)]
    assert statuses == [201, 201, 400, 200, 409]
    asked = [call.seconds for call in provisioning.asked if isinstance(call, OpenRescueRequest)]
    assert asked[:2] == [86_400, 3600]


async def test_both_sides_of_a_transfer_see_their_own_and_nothing_more(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    globex = rig.tenant("Globex")
    mallory, stranger = await rig.person(globex), await rig.person(rig.tenant("Initech"))
    device = rig.device(acme, "pump-7")
    transfer = offer(rig, acme, globex, device)

    ours, theirs, others = [
        (await browser.get("/api/v2/transfers")).json() for browser in (alice, mallory, stranger)
    ]
    page = await mallory.page("/transfers")

    assert [one["device_id"] for one in ours["given"]] == [str(device)]
    assert ours["arriving"] == []
    assert [one["transfer_id"] for one in theirs["arriving"]] == [str(transfer)]
    assert theirs["given"] == []
    assert others == {"given": [], "arriving": []}
    assert str(device) not in page.text
    assert 'data-testid="accept"' in page.text
    assert str(globex) in page.text


async def test_an_accepted_device_shows_its_token_once(
    rig: Rig, acme: UUID, provisioning: Provisioning
) -> None:
    globex = rig.tenant("Globex")
    mallory = await rig.person(globex)
    transfer = offer(rig, acme, globex, rig.device(acme))
    provisioning.made = rig.device(globex)

    answer = await mallory.submit(f"/transfers/{transfer}/accept")
    shown = await mallory.page(answer.headers["location"])
    again = await mallory.page(answer.headers["location"])

    assert answer.status_code == 303
    assert "pet_once" in shown.text
    assert "pet_once" not in again.text


async def test_an_offer_is_made_and_withdrawn_from_pages(
    rig: Rig, acme: UUID, alice: Browser, provisioning: Provisioning
) -> None:
    globex, device = rig.tenant("Globex"), rig.device(acme)

    offered = await alice.submit(f"/devices/{device}/transfer", offered_to=f" {globex} ".upper())
    nobody = await alice.submit(f"/devices/{device}/transfer", offered_to="globex")
    transfer = offer(rig, acme, globex, device)
    page = await alice.page(f"/devices/{device}")
    withdrawn = await alice.submit(f"/transfers/{transfer}/withdraw")

    statuses = [one.status_code for one in (offered, nobody, withdrawn)]
    assert statuses == [303, 400, 303]
    assert 'data-testid="offered"' in page.text
    first = provisioning.asked[0]
    assert isinstance(first, OfferDeviceRequest)
    assert first.offered_to == globex


@pytest.mark.parametrize("verb", ["accept", "decline", "withdraw"])
async def test_a_transfer_of_others_is_not_there(
    rig: Rig, acme: UUID, provisioning: Provisioning, verb: str
) -> None:
    transfer = offer(rig, acme, rig.tenant("Globex"), rig.device(acme))
    bearer = rig.bearer(rig.tenant("Initech"))

    answer = await rig.browser().post(f"/api/v2/transfers/{transfer}/{verb}", headers=bearer)

    assert answer.status_code == 404
    assert provisioning.asked == []


async def test_the_api_accepts_declines_and_withdraws(
    rig: Rig, acme: UUID, provisioning: Provisioning
) -> None:
    globex = rig.tenant("Globex")
    http, giver, taker = rig.browser(), rig.bearer(acme), rig.bearer(globex)
    device = rig.device(acme)
    body = {"offered_to": str(globex)}
    made = await http.post(f"/api/v2/devices/{device}/transfer", headers=giver, json=body)
    transfer = offer(rig, acme, globex, device)

    accepted = await http.post(f"/api/v2/transfers/{transfer}/accept", headers=taker)
    declined = await http.post(f"/api/v2/transfers/{transfer}/decline", headers=taker)
    withdrawn = await http.post(f"/api/v2/transfers/{transfer}/withdraw", headers=giver)

    statuses = [one.status_code for one in (made, accepted, declined, withdrawn)]
    assert statuses == [201, 201, 200, 200]
    assert accepted.json()["enrolment_token"]["token"] == "pet_once"


async def test_a_device_that_was_given_away_says_so_and_offers_nothing_more(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    device = rig.device(acme)
    offer(rig, acme, rig.tenant("Globex"), device)
    rig.superuser.execute(
        "UPDATE device_transfers SET status = 'accepted', decided_at = %s WHERE device_id = %s",
        [rig.now, device],
    )

    page = await alice.page(f"/devices/{device}")

    assert 'data-testid="transferred"' in page.text
    for what in ("offer", "new-token", "withdraw", "rescue"):
        assert f'data-testid="{what}"' not in page.text


async def test_who_wants_no_mails_is_shown_and_can_be_mailed_again(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    other = rig.tenant("Globex")
    for tenant in (acme, other):
        rig.superuser.execute(
            "INSERT INTO notice_refusals (tenant_id, address, topic) VALUES (%s, 'ann@acme.example', 'alerts')",
            [tenant],
        )
    bob = await rig.person(acme, "customer")

    page, for_customers = await alice.page("/expiring"), await bob.page("/expiring")
    refused = await bob.submit("/expiring/mails", address="ann@acme.example", topic="alerts")
    answer = await alice.submit("/expiring/mails", address="ann@acme.example", topic="alerts")

    assert page.text.count('data-testid="refusal"') == 1
    assert "ann@acme.example" not in for_customers.text
    assert (refused.status_code, answer.status_code) == (403, 303)
    left = rig.superuser.execute(
        "SELECT tenant_id FROM notice_refusals WHERE address = 'ann@acme.example' AND tenant_id = ANY(%s)",
        [[acme, other]],
    ).fetchall()
    assert left == [(other,)]
