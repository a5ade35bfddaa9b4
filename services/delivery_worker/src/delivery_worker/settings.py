"""Everything this service needs to know before it starts."""

from __future__ import annotations

from pulse_common.settings import ServiceSettings


class Settings(ServiceSettings):
    """Nothing beyond what every service needs."""
