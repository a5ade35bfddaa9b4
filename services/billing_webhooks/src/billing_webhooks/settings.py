"""Everything this service needs to know before it starts."""

from __future__ import annotations

from typing import Annotated

from pydantic import SecretStr, field_validator

from pulse_common.settings import SHORTEST_SECRET, ServiceSettings


class Settings(ServiceSettings):
    """``stripe_webhook_secrets`` is a comma-separated list: several are valid at once during a rotation."""

    stripe_webhook_secrets: Annotated[SecretStr, "comma separated"]

    @field_validator("stripe_webhook_secrets")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if any(len(secret) < SHORTEST_SECRET for secret in _split(value)):
            raise ValueError(f"each secret must have at least {SHORTEST_SECRET} characters")
        return value

    def signing_secrets(self) -> list[str]:
        return _split(self.stripe_webhook_secrets)


def _split(value: SecretStr) -> list[str]:
    return [secret.strip() for secret in value.get_secret_value().split(",")]
