"""Everything this service needs to know before it starts."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from pulse_common.settings import Key, ServiceSettings

# ASCII only, since it is written into certificates as an IA5String; plain http, since a client that checks a server's
# certificate in order to fetch the list that it checks certificates with would go round in circles.
PLAIN_HTTP = r"^http://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*$"
LONGEST_LIFETIME_DAYS = 825


class Settings(ServiceSettings):
    """``crl_base_url`` is written into every certificate: it must stay reachable for as long as they live."""

    ca_directory: Path
    ca_key_passphrase: Key
    crl_base_url: str = Field(pattern=PLAIN_HTTP)
    certificate_lifetime_days: int = Field(default=90, ge=1, le=LONGEST_LIFETIME_DAYS)
