"""Everything this service needs to know before it starts."""

from __future__ import annotations

from pydantic import Field

from pulse_common.settings import Key, ServiceSettings


class Settings(ServiceSettings):
    """``mqtt_auth_secret`` is what the broker shows us; ``emqx_api_secret`` is what we show the broker."""

    mqtt_auth_secret: Key
    mqtt_auth_secret_previous: Key | None = None
    """Still accepted while brokers are moved to the current one; a counter says whether any of them uses it."""
    mqtt_admin_password: Key
    emqx_api_url: str = Field(pattern=r"^https?://")
    emqx_api_key: str = Field(min_length=1)
    emqx_api_secret: Key
