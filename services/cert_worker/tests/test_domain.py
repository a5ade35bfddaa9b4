"""Who gets a certificate, and what stays on a list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from cert_worker import domain
from cert_worker.domain import DeviceState, KeyUse
from pulse_common.errors import Conflict, NotFound

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TENANT, DEVICE = uuid4(), uuid4()


def test_active_device_of_an_active_tenant_may_have_a_certificate() -> None:
    assert domain.refusal_of_device(DeviceState("active", "active")) is None


@pytest.mark.parametrize(
    ("device", "kind"),
    [
        (None, NotFound),
        (DeviceState("suspended", "active"), Conflict),
        (DeviceState("active", "disabled"), Conflict),
        (DeviceState("something new", "active"), Conflict),
        (DeviceState("active", "something new"), Conflict),
    ],
)
def test_any_other_device_may_not(device: DeviceState | None, kind: type[Exception]) -> None:
    assert isinstance(domain.refusal_of_device(device), kind)


@pytest.mark.parametrize("reason", [None, "superseded", "cessationOfOperation"])
def test_device_may_renew_with_its_own_key(reason: str | None) -> None:
    uses = [KeyUse(TENANT, DEVICE, reason)]

    assert domain.refusal_of_key(uses, tenant_id=TENANT, device_id=DEVICE) is None


@pytest.mark.parametrize(
    "use",
    [
        KeyUse(TENANT, uuid4(), None),
        KeyUse(uuid4(), DEVICE, None),
        KeyUse(uuid4(), uuid4(), "superseded"),
        KeyUse(TENANT, DEVICE, "keyCompromise"),
    ],
)
def test_key_of_another_or_a_leaked_one_is_refused(use: KeyUse) -> None:
    uses = [KeyUse(TENANT, DEVICE, None), use]

    assert isinstance(domain.refusal_of_key(uses, tenant_id=TENANT, device_id=DEVICE), Conflict)


def test_first_list_leaves_nothing_out() -> None:
    assert domain.listed_if_expiring_after(None) < datetime(1970, 1, 1, tzinfo=UTC)


def test_entry_stays_until_a_list_that_came_after_its_expiry_is_stale() -> None:
    previous = NOW

    kept = domain.listed_if_expiring_after(previous)

    # Expired a second later than a lifetime before the previous list: the lists that show it expired are still good.
    assert previous - timedelta(hours=24) + timedelta(seconds=1) > kept
    assert previous - timedelta(hours=24) <= kept


def test_list_is_due_hourly_and_at_first() -> None:
    assert domain.crl_is_due(None, NOW)
    assert not domain.crl_is_due(NOW - timedelta(minutes=59), NOW)
    assert domain.crl_is_due(NOW - timedelta(minutes=60), NOW)


def test_list_alarms_an_hour_before_it_is_stale() -> None:
    assert not domain.crl_is_alarming(NOW + timedelta(minutes=61), NOW)
    assert domain.crl_is_alarming(NOW + timedelta(minutes=60), NOW)
    assert domain.crl_is_alarming(NOW - timedelta(days=1), NOW)
