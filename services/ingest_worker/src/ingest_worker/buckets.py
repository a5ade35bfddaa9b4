"""Token buckets: how much a device and a tenant may send, in messages and bytes, by the tenant's plan.

A plan says messages a second; everything else follows from it.  Each replica counts for itself: the broker gives all
messages of a device to one replica, so that a device's limits hold exactly, while N replicas let a tenant's devices
through at up to N times the tenant's.  A restart begins with full buckets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from uuid import UUID

    from pulse_common.entitlements import Entitlements

Name = Literal["device_messages", "device_bytes", "tenant_messages", "tenant_bytes", "tenant_month"]

BURST_SECONDS = 10
LEAST_BURST_MESSAGES = 100
"""A whole batch must fit, or it never could."""
BYTES_A_MESSAGE = 2048
LEAST_BURST_BYTES = 128 * 1024
"""Twice the largest message."""
MOST_REMEMBERED = 200_000


@dataclass(frozen=True, slots=True)
class Over:
    """``bucket`` lacks what was asked for, and has it in ``refill_seconds`` when nothing is taken until then."""

    bucket: Name
    refill_seconds: float


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


@dataclass(frozen=True, slots=True)
class _Wanted:
    bucket: Name
    key: tuple[Name, UUID]
    amount: float
    rate: float
    capacity: float


class Buckets:
    def __init__(self) -> None:
        self._buckets: dict[tuple[Name, UUID], _Bucket] = {}

    def take(
        self,
        tenant: UUID,
        device: UUID,
        plan: Entitlements,
        *,
        messages: int,
        size_bytes: int,
        now: float,
    ) -> Over | None:
        """Take from all four buckets, or from none of them and say which one was short."""
        rate = plan.messages_per_second
        if rate is None:
            return None
        wanted = _of_device(device, rate, messages, size_bytes)
        wanted += _of_tenant(tenant, rate, messages, size_bytes)
        return self._take_all(wanted, now)

    def take_late(self, tenant: UUID, plan: Entitlements, *, now: float) -> Over | None:
        """Take one message that has waited: from its tenant's buckets alone, its device has sent it long ago."""
        if plan.messages_per_second is None:
            return None
        return self._take_all(_of_tenant(tenant, plan.messages_per_second, 1, 0), now)

    def _take_all(self, wanted: list[_Wanted], now: float) -> Over | None:
        held = [self._filled(one, now) for one in wanted]
        for one, bucket in zip(wanted, held, strict=True):
            if bucket.level < one.amount:
                missing = one.amount - bucket.level
                return Over(one.bucket, missing / one.rate if one.rate else float(10**6))
        for one, bucket in zip(wanted, held, strict=True):
            bucket.level -= one.amount
        return None

    def _filled(self, one: _Wanted, now: float) -> _Bucket:
        bucket = self._buckets.get(one.key)
        if bucket is None:
            if len(self._buckets) >= MOST_REMEMBERED:
                self._forget_idle(now)
            bucket = self._buckets[one.key] = _Bucket(one.capacity, now)
        passed = max(0.0, now - bucket.at)
        bucket.level = min(one.capacity, bucket.level + passed * one.rate)
        bucket.at = now
        return bucket

    def _forget_idle(self, now: float) -> None:
        """A bucket that nobody touched for long is full or as good as full: a new one is the same."""
        for key in [k for k, held in self._buckets.items() if now - held.at > 2 * BURST_SECONDS]:
            del self._buckets[key]


def _of_device(device: UUID, rate: int, messages: int, size_bytes: int) -> list[_Wanted]:
    share = max(1.0, rate / 2) if rate else 0.0
    return _pair("device_messages", "device_bytes", device, share, (messages, size_bytes))


def _of_tenant(tenant: UUID, rate: int, messages: int, size_bytes: int) -> list[_Wanted]:
    return _pair("tenant_messages", "tenant_bytes", tenant, float(rate), (messages, size_bytes))


def _pair(
    of_messages: Name, of_bytes: Name, owner: UUID, rate: float, amounts: tuple[int, int]
) -> list[_Wanted]:
    messages, size_bytes = amounts
    bytes_rate = rate * BYTES_A_MESSAGE
    return [
        _Wanted(
            of_messages,
            (of_messages, owner),
            messages,
            rate,
            max(LEAST_BURST_MESSAGES, rate * BURST_SECONDS),
        ),
        _Wanted(
            of_bytes,
            (of_bytes, owner),
            size_bytes,
            bytes_rate,
            max(LEAST_BURST_BYTES, bytes_rate * BURST_SECONDS),
        ),
    ]
