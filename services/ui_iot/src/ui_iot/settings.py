"""Everything this service needs to know before it starts."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from pulse_common.clients import DEFAULT_CLIENTS, ClientsSetting
from pulse_common.cors import CorsSettings
from pulse_common.mail import MailSettings, is_address
from pulse_common.ratelimit_store import RateLimitSettings
from pulse_common.settings import Key, Networks, Secret, ServiceSettings

KEY_BYTES = 32


def _addresses(value: object) -> object:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip())
        if isinstance(value, str)
        else value
    )


def _address(value: str) -> str:
    if not is_address(value):
        raise ValueError("must be e-mail addresses with commas between them")
    return value


OperatorAddresses = Annotated[
    tuple[Annotated[str, AfterValidator(_address)], ...], NoDecode, BeforeValidator(_addresses)
]


class Settings(CorsSettings, MailSettings, RateLimitSettings, ServiceSettings):
    """``public_url`` is the origin as browsers write it, without a path; the keys are base64 of 32 bytes.

    ``trusted_proxies`` are the networks whose X-Forwarded-For counts; none by default, so the TCP peer is the client.
    """

    # Compared with the Origin header as it is, so it must be spelt like one.
    public_url: str = Field(pattern=r"^https://[a-z0-9.-]+(:[1-9][0-9]*)?$")
    operator_database_url: Secret
    oidc_issuer: str = Field(pattern=r"^https?://")
    oidc_internal_url: str = Field(pattern=r"^https?://")
    oidc_audience: str = Field(min_length=1)
    oidc_client_id: str = Field(min_length=1)
    oidc_client_secret: Key
    oidc_allowed_clients: ClientsSetting = DEFAULT_CLIENTS
    oidc_admin_client_id: str = Field(default="pulse-ui-admin", min_length=1)
    oidc_admin_client_secret: Key
    session_encryption_key: SecretStr
    session_encryption_key_previous: SecretStr | None = None
    operator_notice_emails: OperatorAddresses = ()
    """Who hears of what concerns the platform: issuers, revocation lists and server certificates that expire."""
    audit_spool_directory: Path | None = None
    """Where views wait for the database; without it they are not recorded."""
    live_views_per_person: int = Field(default=20, ge=1)
    trusted_proxies: Networks = ()
    step_up_max_age_seconds: int = Field(default=300, ge=30)
    step_up_acr: str = Field(default="", pattern=r"^[A-Za-z0-9._:/-]{0,100}$")
    auth_attempts_per_minute: int = Field(default=30, ge=1)
    live_connections_per_minute: int = Field(default=120, ge=1)
    invitations_per_hour: int = Field(default=60, ge=1)
    api_requests_per_minute: int = Field(default=600, ge=1)
    page_requests_per_minute: int = Field(default=300, ge=1)
    tenant_requests_per_minute: int = Field(default=3000, ge=1)

    @field_validator("session_encryption_key", "session_encryption_key_previous")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and _decode(value) is None:
            raise ValueError(f"must be base64 of {KEY_BYTES} bytes")
        return value

    @model_validator(mode="after")
    def _lets_its_own_people_in(self) -> Self:
        if not self.oidc_allowed_clients.is_named(self.oidc_client_id):
            raise ValueError("OIDC_ALLOWED_CLIENTS must name OIDC_CLIENT_ID")
        return self

    def encryption_keys(self) -> list[bytes]:
        """Return the current key and, during a rotation, the previous one."""
        wanted = (self.session_encryption_key, self.session_encryption_key_previous)
        return [key for value in wanted if value is not None and (key := _decode(value))]


def _decode(value: SecretStr) -> bytes | None:
    try:
        key = base64.b64decode(value.get_secret_value(), validate=True)
    except binascii.Error:
        return None
    return key if len(key) == KEY_BYTES else None
