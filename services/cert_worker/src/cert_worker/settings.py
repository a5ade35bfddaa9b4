"""Everything this service needs to know before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from cert_worker.servers import Server, parse_server
from pulse_common.settings import Key, Port, ServiceSettings

# ASCII only, since it is written into certificates as an IA5String; plain http, since a client that checks a server's
# certificate in order to fetch the list that it checks certificates with would go round in circles.
PLAIN_HTTP = r"^http://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*$"
LONGEST_LIFETIME_DAYS = 825


KeyType = Literal["P-256", "P-384", "Ed25519", "RSA"]
EVERY_KEY_TYPE: frozenset[KeyType] = frozenset(get_args(KeyType))


def _servers(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(parse_server(part.strip()) for part in value.split(",") if part.strip())


WatchedServers = Annotated[tuple[Server, ...], NoDecode, BeforeValidator(_servers)]


class ProfileSetting(BaseModel):
    """One of CERTIFICATE_PROFILES: what may differ between kinds of devices.  Subject, names and uses may not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")
    lifetime_days: int = Field(ge=1, le=LONGEST_LIFETIME_DAYS)
    key_types: frozenset[KeyType] = Field(default=EVERY_KEY_TYPE, min_length=1)


class RootSettings(BaseSettings):
    """What `pulse-ca` needs where the root is, which is never where the service is."""

    root_key_passphrase: Key


class CaSettings(BaseSettings):
    """What the service and `pulse-ca` on the same server share.

    ``crl_base_url`` is written into every certificate: it must stay reachable for as long as they live.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, env_ignore_empty=True
    )

    ca_directory: Path
    ca_key_passphrase: Key
    crl_base_url: str = Field(pattern=PLAIN_HTTP)
    crl_shards: int = Field(default=64, ge=1, le=1024)
    """Of issuers that are installed from now on."""
    pkcs11_module: Path | None = None
    """The vendor's library; with it, keys of new issuers are made in the token."""
    pkcs11_token: str = ""
    pkcs11_pin: SecretStr | None = None


class Settings(CaSettings, ServiceSettings):
    """Of the service."""

    certificate_lifetime_days: int = Field(default=90, ge=1, le=LONGEST_LIFETIME_DAYS)
    """Of the profile ``device``, unless CERTIFICATE_PROFILES describes that too."""
    certificate_profiles: tuple[ProfileSetting, ...] = ()
    """JSON: ``[{"name": "meter", "lifetime_days": 365, "key_types": ["P-256"]}]``."""
    lint_share: float = Field(default=0.01, ge=0, le=1)
    """How many of the certificates are linted before they are signed; the first of a process always is."""
    key_blocklist_file: Path | None = None
    """badkeys' ``blocklist.dat``."""
    renewal_overlap_days: int = Field(default=30, ge=1, le=LONGEST_LIFETIME_DAYS)
    """How long an older certificate stays beside a renewed one that is never used."""
    broker_probe_host: str | None = None
    """Where devices' TLS ends: in a roll-over the broker itself is asked whether it takes the next authority."""
    broker_probe_port: Port = 8883
    broker_probe_ca_file: Path | None = None
    """Who signs the certificate that the broker shows; needed with ``broker_probe_host``."""
    watched_servers: WatchedServers = ()
    """``name=host:port`` of our own TLS servers, the edge and the broker, whose certificates are watched too."""
    audit_heads_directory: Path | None = None
    """Where the audit log's heads are written; by default `audit-heads` in the CA's folder."""
    audit_syslog_host: str | None = None
    """A SIEM that takes syslog over TLS (RFC 5425), on ``audit_syslog_port``."""
    audit_syslog_port: Port = 6514
    audit_syslog_ca_file: Path | None = None
    audit_retention_months: int | None = Field(default=None, ge=4)
    """How many whole months of the audit log are kept; all of them when it is not set."""
