"""Everything this service needs to know before it starts."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from delivery_worker.targets import Rules
from pulse_common.settings import Networks, Secret, ServiceSettings

_KEY_BYTES = 32


def _ports(value: object) -> object:
    return tuple(int(port) for port in value.split(",")) if isinstance(value, str) else value


Ports = Annotated[tuple[int, ...], NoDecode, BeforeValidator(_ports)]


class Settings(ServiceSettings):
    """The key seals webhook secrets; the rest says where customers' addresses may lead."""

    delivery_secret_key: Secret
    delivery_secret_key_previous: SecretStr | None = None
    delivery_allowed_networks: Networks = ()
    delivery_allowed_ports: Ports = (443,)
    delivery_allow_http: bool = False
    delivery_log_days: int = Field(default=30, ge=1, le=365)

    @field_validator("delivery_secret_key", "delivery_secret_key_previous")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _key(value)
        return value

    def keys(self) -> list[bytes]:
        given = (self.delivery_secret_key, self.delivery_secret_key_previous)
        return [_key(value) for value in given if value is not None]

    def rules(self) -> Rules:
        schemes = {"https", "http"} if self.delivery_allow_http else {"https"}
        return Rules(
            schemes=frozenset(schemes),
            ports=frozenset(self.delivery_allowed_ports),
            networks=tuple(self.delivery_allowed_networks),
        )


def _key(value: SecretStr) -> bytes:
    try:
        key = base64.b64decode(value.get_secret_value(), validate=True)
    except binascii.Error:
        raise ValueError("must be base64") from None
    if len(key) != _KEY_BYTES:
        raise ValueError(f"must be base64 of {_KEY_BYTES} bytes")
    return key
