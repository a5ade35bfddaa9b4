"""Turn environment variables into checked, frozen settings, and report every mistake at once.

Only pydantic-settings, through this module, reads the environment; ruff bans it everywhere else.
Names are the field names in upper case.  No secret has a default, a secret never prints, and one that is
too short is a mistake like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pulse_common.client_address import Network, parse_networks

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORTEST_SECRET = 16
SHORTEST_KEY = 32

Secret = Annotated[SecretStr, Field(min_length=SHORTEST_SECRET)]
"""A password of a service: at least 16 characters."""

Key = Annotated[SecretStr, Field(min_length=SHORTEST_KEY)]
"""A shared secret or passphrase that stands alone: at least 32 characters."""

Port = Annotated[int, Field(ge=1, le=65535)]


def _networks(value: object) -> object:
    return parse_networks(value) if isinstance(value, str) else value


Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
"""Comma-separated networks, as in TRUSTED_PROXIES; see ``client_address``."""


class SettingsError(Exception):
    """One or more variables are missing or wrong; the message lists them all, without their values."""


class ServiceSettings(BaseSettings):
    """What every service needs to know before it starts."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, env_ignore_empty=True
    )

    pulse_env: Literal["development", "production"]
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    http_host: str = "127.0.0.1"
    http_port: Port
    database_url: Secret
    nats_url: str = Field(pattern=r"^(nats|tls)://")
    nats_user: str = Field(min_length=1)
    nats_password: Secret
    nats_replicas: int = Field(default=1, ge=1, le=5)
    """Copies of each stream: 3 where NATS has three nodes, so that the loss of one loses nothing."""


S = TypeVar("S", bound=BaseSettings)


def load(kind: type[S], values: Mapping[str, str] | None = None) -> S:
    """Read ``kind`` from the environment; ``values``, for tests, go before it.

    Raises:
        SettingsError: listing every missing or wrong variable; values are never repeated.
    """
    given: dict[str, Any] = {
        name.lower(): value for name, value in (values or {}).items() if value != ""
    }
    try:
        return kind(**given)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(error))) from None


def _explain(error: ValidationError) -> list[str]:
    mistakes = []
    for item in error.errors(include_input=False, include_url=False):
        name = str(item["loc"][0]).upper() if item["loc"] else "settings"
        what = "is required" if item["type"] == "missing" else f": {item['msg']}"
        mistakes.append(f"{name} {what}".replace(" :", ":"))
    return mistakes
