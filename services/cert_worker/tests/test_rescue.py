"""The CA renews an expired certificate for its own key alone, and never one that was cut off."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from services.cert_worker.tests.conftest import make_csr, revoke_request, sign_request
from services.cert_worker.tests.test_renew import renewal, renewing

from pulse_common.errors import Conflict, Malformed

if TYPE_CHECKING:
    from uuid import UUID

    from services.cert_worker.tests.conftest import FreshDatabase, HeldClock, Service

    from cert_worker.handlers.renew import Renewing
    from pulse_common.events import RenewRequest, SignReply

__all__ = ["renewing"]  # a fixture
pytestmark = pytest.mark.anyio
EXPIRED = timedelta(days=91)


def rescue(one: tuple[UUID, UUID], csr: str, by: SignReply) -> RenewRequest:
    return renewal(*one, csr, by).model_copy(update={"rescue": True})


async def test_an_expired_certificate_is_renewed_for_its_key_and_once(
    service: Service, fresh: FreshDatabase, renewing: Renewing, clock: HeldClock
) -> None:
    one, csr = fresh.add_device(), make_csr(ec.generate_private_key(ec.SECP256R1()))
    old = await service.signing.sign(sign_request(*one, csr))
    clock.move(EXPIRED)

    new = await renewing.renew(rescue(one, csr, old))
    again = await renewing.renew(rescue(one, csr, old))

    assert new.serial_number == again.serial_number != old.serial_number
    assert new.not_after > clock()


async def test_an_expired_certificate_renews_nothing_without_an_approval(
    service: Service, fresh: FreshDatabase, renewing: Renewing, clock: HeldClock
) -> None:
    one, csr = fresh.add_device(), make_csr()
    old = await service.signing.sign(sign_request(*one, csr))
    clock.move(EXPIRED)

    with pytest.raises(Conflict):
        await renewing.renew(renewal(*one, csr, old))


async def test_another_key_is_not_rescued(
    service: Service, fresh: FreshDatabase, renewing: Renewing, clock: HeldClock
) -> None:
    one = fresh.add_device()
    old = await service.signing.sign(sign_request(*one, make_csr()))
    clock.move(EXPIRED)

    with pytest.raises(Conflict):
        await renewing.renew(rescue(one, make_csr(), old))


async def test_a_device_that_was_cut_off_is_not_rescued(
    service: Service, fresh: FreshDatabase, renewing: Renewing, clock: HeldClock
) -> None:
    revoked, cut_off_later = fresh.add_device(), fresh.add_device()
    csr, later_csr = make_csr(), make_csr()
    old = await service.signing.sign(sign_request(*revoked, csr))
    await service.revoking.revoke(revoke_request(*revoked))
    older = await service.signing.sign(sign_request(*cut_off_later, later_csr))
    clock.move(timedelta(days=1))
    await service.signing.sign(sign_request(*cut_off_later, make_csr()))
    await service.revoking.revoke(revoke_request(*cut_off_later))
    service.rows.execute(
        "UPDATE certificates SET status = 'valid', revoked_at = NULL,"
        " revocation_reason = NULL WHERE serial_number = %s",
        [older.serial_number],
    )
    clock.move(EXPIRED)

    for one, request, by in ((revoked, csr, old), (cut_off_later, later_csr, older)):
        with pytest.raises(Conflict):
            await renewing.renew(rescue(one, request, by))


async def test_what_a_revoked_issuer_issued_is_not_rescued(
    service: Service, fresh: FreshDatabase, renewing: Renewing, clock: HeldClock
) -> None:
    one, csr = fresh.add_device(), make_csr()
    old = await service.signing.sign(sign_request(*one, csr))
    clock.move(EXPIRED)
    service.rows.execute(
        "UPDATE issuers SET status = 'revoked', revoked_at = now(),"
        " revocation_reason = 'cACompromise' WHERE kind = 'issuing'"
    )

    with pytest.raises(Conflict):
        await renewing.renew(rescue(one, csr, old))


async def test_a_device_whose_certificate_counts_is_not_rescued_by_an_older_one(
    service: Service, fresh: FreshDatabase, renewing: Renewing, clock: HeldClock
) -> None:
    one, csr = fresh.add_device(), make_csr()
    old = await service.signing.sign(sign_request(*one, csr))
    clock.move(EXPIRED)
    await service.signing.sign(sign_request(*one, make_csr()))

    with pytest.raises(Conflict):
        await renewing.renew(rescue(one, csr, old))


async def test_a_rescue_names_what_has_expired(fresh: FreshDatabase, renewing: Renewing) -> None:
    request = renewal(*fresh.add_device(), make_csr()).model_copy(update={"rescue": True})

    with pytest.raises(Malformed):
        await renewing.renew(request)
