"""The shared secret that the broker shows with every question, and which of the two it showed."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from mqtt_authz import metrics
from pulse_common.errors import Unauthenticated
from pulse_common.http import bearer_token
from pulse_common.identity import Principal

if TYPE_CHECKING:
    from starlette.requests import Request

    from mqtt_authz.settings import Settings

BROKER = "broker"
"""The role of whoever knows the secret."""


_SHOWN = {which: metrics.SECRETS.labels(which) for which in ("current", "previous", "wrong")}
_THE_BROKER = Principal(subject="mqtt-broker", tenant=None, roles=frozenset({BROKER}))


class SharedSecret:
    """Compares bytes in constant time: ``str`` would raise on the first accented letter (hazard 11)."""

    def __init__(self, *, current: bytes, previous: bytes | None) -> None:
        self._current = current
        self._previous = previous

    @classmethod
    def from_settings(cls, settings: Settings) -> SharedSecret:
        previous = settings.mqtt_auth_secret_previous
        return cls(
            current=settings.mqtt_auth_secret.get_secret_value().encode(),
            previous=previous.get_secret_value().encode() if previous else None,
        )

    async def authenticate(self, request: Request) -> Principal:
        which = self._recognise(request)
        _SHOWN[which].inc()
        if which == "wrong":
            raise Unauthenticated("the broker's secret is missing or not valid")
        return _THE_BROKER

    def _recognise(self, request: Request) -> str:
        # Starlette decodes headers as Latin-1, so this gives back the bytes that came.
        shown = (bearer_token(request) or "").encode("latin-1")
        is_current = hmac.compare_digest(shown, self._current)
        is_previous = hmac.compare_digest(shown, self._previous or self._current)
        if is_current:
            return "current"
        return "previous" if is_previous else "wrong"
