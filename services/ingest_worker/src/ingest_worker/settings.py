"""Everything this service needs to know before it starts."""

from __future__ import annotations

from pydantic import Field

from pulse_common.settings import Key, Port, ServiceSettings


class Settings(ServiceSettings):
    """``mqtt_client_id`` names this replica's session at the broker: stable across restarts, and no other's."""

    mqtt_host: str = Field(min_length=1)
    mqtt_port: Port
    mqtt_username: str = Field(min_length=1)
    mqtt_password: Key
    mqtt_client_id: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
