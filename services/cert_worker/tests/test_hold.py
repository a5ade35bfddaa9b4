"""Certificates are revoked, held and released by what they share, and the lists tell of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from services.cert_worker.tests.conftest import (
    HeldClock,
    listed,
    make_csr,
    revoke_request,
    shard_with,
    sign_request,
)

from cert_worker.handlers.revoke_issuer import RevokingIssuers
from pulse_common import events
from pulse_common.errors import Conflict, Malformed, NotFound, Unavailable

if TYPE_CHECKING:
    from services.cert_worker.tests.conftest import FreshDatabase, Service

    from cert_worker.signers import Place

pytestmark = pytest.mark.anyio


def ask(
    by: events.CertificateSelector,
    selected: object,
    *,
    tenant_id: UUID | None = None,
    hold: bool = False,
) -> events.RevokeCertificatesRequest:
    return events.RevokeCertificatesRequest(
        tenant_id=tenant_id,
        by=by,
        selected=str(selected),
        reason="certificateHold" if hold else "superseded",
        actor_id="olivia",
        actor_kind="operator",
    )


def release(by: events.CertificateSelector, selected: object) -> events.ReleaseCertificatesRequest:
    return events.ReleaseCertificatesRequest(
        tenant_id=None, by=by, selected=str(selected), actor_id="olivia", actor_kind="operator"
    )


def statuses(service: Service) -> list[str]:
    rows = service.fetch("SELECT status FROM certificates ORDER BY created_at, certificate_id")
    return [str(status) for (status,) in rows]


async def test_held_certificate_is_listed_and_released_one_leaves_the_list(
    service: Service, fresh: FreshDatabase
) -> None:
    issued = await service.signing.sign(sign_request(*fresh.add_device()))
    shard = shard_with(service.authority, issued.serial_number)

    await service.revoking.revoke_certificates(ask("certificate", issued.certificate_id, hold=True))
    await service.publisher.follow()
    held, number = listed(service.publisher, shard), service.publisher.lists[shard].number
    await service.revoking.release_certificates(release("certificate", issued.certificate_id))
    await service.publisher.follow()

    assert held == {issued.serial_number}
    assert listed(service.publisher, shard) == set()
    assert service.publisher.lists[shard].number == number + 1
    assert statuses(service) == ["valid"]
    told = service.fetch("SELECT subject FROM outbox ORDER BY position OFFSET 1")
    assert told == [("pulse.events.cert.revoked",), ("pulse.events.cert.released",)]
    acts = service.fetch("SELECT action FROM audit_log WHERE actor_id = 'olivia' ORDER BY at")
    assert acts == [("certificate.hold",), ("certificate.release",)]


async def test_revoked_certificate_is_never_released(
    service: Service, fresh: FreshDatabase
) -> None:
    issued = await service.signing.sign(sign_request(*fresh.add_device()))
    await service.revoking.revoke_certificates(ask("certificate", issued.certificate_id, hold=True))
    await service.revoking.revoke_certificates(ask("certificate", issued.certificate_id))

    reply = await service.revoking.release_certificates(
        release("certificate", issued.certificate_id)
    )

    assert reply.certificates == 0
    assert statuses(service) == ["revoked"]


async def test_only_the_lists_of_what_was_revoked_are_made_anew(
    service: Service, fresh: FreshDatabase
) -> None:
    issued = await service.signing.sign(sign_request(*fresh.add_device()))
    await service.revoking.revoke_certificates(ask("certificate", issued.certificate_id))

    await service.publisher.follow()

    numbers = {shard: one.number for shard, one in service.publisher.lists.items()}
    own = shard_with(service.authority, issued.serial_number)
    assert numbers == {shard: 2 if shard == own else 1 for shard in service.publisher.lists}


@pytest.mark.parametrize("by", ["device", "profile", "issuer", "key"])
async def test_everything_that_shares_it_is_revoked_and_nothing_else(
    service: Service, fresh: FreshDatabase, by: events.CertificateSelector
) -> None:
    tenant_id, device_id = fresh.add_device()
    key = ec.generate_private_key(ec.SECP256R1())
    wanted = sign_request(tenant_id, device_id, make_csr(key))
    meter = wanted.model_copy(update={"profile": "meter"})
    service.rows.execute("UPDATE issuers SET profile = 'meter' WHERE kind = 'issuing'")
    await service.authorities.refresh()
    first = await service.signing.sign(meter)
    await service.signing.sign(meter)
    service.rows.execute("UPDATE issuers SET profile = 'device' WHERE kind = 'issuing'")
    await service.authorities.refresh()
    await service.signing.sign(sign_request(*fresh.add_device(tenant_id)))
    (digest,) = service.fetch(
        "SELECT encode(public_key_sha256, 'hex') FROM certificates WHERE certificate_id = %s",
        first.certificate_id,
    )[0]
    issuer_id = service.authority.issuing.issuer_id
    named = {"device": device_id, "profile": "meter", "issuer": issuer_id, "key": digest}

    reply = await service.revoking.revoke_certificates(ask(by, named[by]))

    everything = by == "issuer"
    assert reply.certificates == (3 if everything else 2)
    assert max(statuses(service)) == ("revoked" if everything else "valid")
    again = await service.revoking.revoke_certificates(ask(by, named[by]))
    assert again.certificates == 0


async def test_tenant_reaches_its_own_certificates_alone(
    service: Service, fresh: FreshDatabase
) -> None:
    tenant_id, device_id = fresh.add_device()
    issued = await service.signing.sign(sign_request(tenant_id, device_id))

    for by, selected in (("certificate", issued.certificate_id), ("device", device_id)):
        with pytest.raises(NotFound):
            await service.revoking.revoke_certificates(
                ask(by, selected, tenant_id=uuid4())  # type: ignore[arg-type]  # both are selectors
            )

    assert statuses(service) == ["valid"]


@pytest.mark.parametrize(
    ("by", "selected"),
    [("device", "x"), ("key", "' OR true --"), ("profile", "A"), ("issuer", "0" * 64)],
)
async def test_what_names_nothing_is_refused(
    service: Service, by: events.CertificateSelector, selected: str
) -> None:
    with pytest.raises(Malformed):
        await service.revoking.revoke_certificates(ask(by, selected))


async def test_list_that_forgets_a_revocation_is_not_published(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    tenant_id, device_id = fresh.add_device()
    issued = await service.signing.sign(sign_request(tenant_id, device_id))
    await service.revoking.revoke(revoke_request(tenant_id, device_id))
    await service.publisher.follow()
    shard = shard_with(service.authority, issued.serial_number)
    # What an older backup of the database says.
    service.rows.execute(
        "UPDATE certificates SET status = 'valid', revoked_at = NULL, revocation_reason = NULL;"
        "UPDATE crl_shards SET number = 0, this_update = NULL, der = NULL"
    )
    before = service.publisher.lists[shard]
    clock.move(timedelta(hours=2))

    await service.publisher.follow()

    assert service.publisher.lists[shard] == before
    clock.move(timedelta(hours=21))
    with pytest.raises(Unavailable):
        await service.publisher.check()


async def test_number_goes_on_from_what_was_served_when_the_database_is_older(
    service: Service, clock: HeldClock
) -> None:
    for _ in range(3):
        await service.publisher.publish()
    shard = min(service.publisher.lists)
    before = service.publisher.lists[shard].number
    service.rows.execute("UPDATE crl_shards SET number = 1")

    await service.publisher.publish()

    assert service.publisher.lists[shard].number == before + 1


async def test_revoked_issuer_issues_no_more_and_leaves_the_bundle(
    service: Service, fresh: FreshDatabase, place: Place, clock: HeldClock
) -> None:
    revoking = RevokingIssuers(
        database=service.database, authorities=service.authorities, clock=clock
    )
    issuing = service.authority.issuing
    request = events.RevokeIssuerRequest(
        issuer_id=issuing.issuer_id, reason="cACompromise", actor_id="olivia"
    )

    first = await revoking.revoke(request)
    clock.move(timedelta(minutes=1))
    again = await revoking.revoke(request)

    assert again.revoked_at == first.revoked_at
    assert b"BEGIN" not in place.bundle.read_bytes()
    with pytest.raises(Unavailable):
        await service.signing.sign(sign_request(*fresh.add_device()))
    told = service.fetch("SELECT subject, payload->>'issuer_id' FROM outbox")
    assert told == [("pulse.events.issuer.revoked", str(issuing.issuer_id))]
    assert service.fetch("SELECT reason FROM audit_log WHERE action = 'issuer.revoke'") == [
        ("cACompromise",)
    ]


async def test_profile_takes_only_its_kinds_of_keys(service: Service, fresh: FreshDatabase) -> None:
    wanted = sign_request(*fresh.add_device(), make_csr(ec.generate_private_key(ec.SECP384R1())))

    with pytest.raises(Malformed, match="takes no P-384 keys"):
        await service.signing.sign(wanted.model_copy(update={"profile": "meter"}))
    with pytest.raises(Malformed, match="no such certificate profile"):
        await service.signing.sign(wanted.model_copy(update={"profile": "toaster"}))


async def test_one_refusal_does_not_spoil_the_batch(service: Service, fresh: FreshDatabase) -> None:
    tenant_id, good = fresh.add_device()
    _, disabled = fresh.add_device(tenant_id, status="disabled")
    asked = [sign_request(tenant_id, one) for one in (good, disabled, good, uuid4(), good)]

    answers = await asyncio.gather(
        *(service.signing.sign(one) for one in asked), return_exceptions=True
    )

    assert [type(answer) for answer in answers] == [
        events.SignReply,
        Conflict,
        events.SignReply,
        NotFound,
        events.SignReply,
    ]
    assert statuses(service) == ["valid"] * 3
