"""Everything this service needs to know before it starts."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, FilePath

from pulse_common.clients import DEFAULT_CLIENTS, ClientsSetting
from pulse_common.ratelimit_store import RateLimitSettings
from pulse_common.settings import Key, Networks, Port, ServiceSettings


class Settings(RateLimitSettings, ServiceSettings):
    """``mqtt_ca_file`` holds the authorities that signed the broker's own TLS certificate.

    ``trusted_proxies`` are the networks whose X-Forwarded-For counts; none by default, so the TCP peer is the client.
    """

    oidc_issuer: str = Field(pattern=r"^https?://")
    oidc_internal_url: str = Field(pattern=r"^https?://")
    oidc_audience: str = Field(min_length=1)
    oidc_allowed_clients: ClientsSetting = DEFAULT_CLIENTS
    provision_admin_key: Key
    mqtt_public_host: str = Field(min_length=1)
    mqtt_public_port: Port
    mqtt_ca_file: FilePath
    trusted_proxies: Networks = ()
    client_certificate_header: bool = False
    """Whether the trusted proxies tell of TLS client certificates and nobody else can, as with deploy/caddy."""
    provision_admin_per_minute: int = Field(default=10, ge=1)
    provision_enrol_per_minute: int = Field(default=30, ge=1)
    canary_every_seconds: int = Field(default=0, ge=0)
    """How often two canary tenants try to reach each other's rows; 0 is never."""

    def broker_authorities(self) -> str:
        return Path(self.mqtt_ca_file).read_text()
