"""The development stack's secrets: made once per checkout, kept where only its owner can read."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Database logins and NATS users; a service's login is its name with svc_ in front.
LOGINS = (
    "svc_ui_iot",
    "svc_ui_iot_operator",
    "svc_provision_api",
    "svc_cert_worker",
    "svc_mqtt_authz",
    "svc_billing_webhooks",
    "svc_ingest_worker",
    "svc_delivery_worker",
)


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What a part must know and nobody else may; never printed, but for the demo password."""

    demo_password: str
    postgres_superuser: str
    database: dict[str, str]
    nats: dict[str, str]
    oidc_client: str
    oidc_admin_client: str
    oidc_api_client: str
    session_encryption_key: str
    provision_admin_key: str
    ca_key_passphrase: str
    mqtt_auth: str
    mqtt_admin: str
    broker_api_key: str
    broker_api_secret: str
    stripe_webhook: str
    delivery_secret_key: str

    def __repr__(self) -> str:
        return "Secrets([secret])"


class SecretsFileError(Exception):
    """The secrets file is there but cannot be used; the message says what to do."""


def load_or_create_secrets(path: Path) -> Secrets:
    """Read the secrets of this checkout, or make them on its first run (file mode 0600)."""
    if not path.exists():
        _write_private(path, json.dumps(asdict(_generate()), indent=2) + "\n")
    return _read(path)


def _generate() -> Secrets:
    return Secrets(
        demo_password=f"pulse-{secrets.token_hex(5)}",
        postgres_superuser=_token(),
        database={login: _token() for login in LOGINS},
        nats={login: _token() for login in LOGINS},
        oidc_client=_token(),
        oidc_admin_client=_token(),
        oidc_api_client=_token(),
        session_encryption_key=base64.b64encode(secrets.token_bytes(32)).decode(),
        provision_admin_key=_token(),
        ca_key_passphrase=_token(),
        mqtt_auth=_token(),
        mqtt_admin=_token(),
        broker_api_key=f"pulse-{secrets.token_hex(4)}",
        broker_api_secret=_token(),
        delivery_secret_key=base64.b64encode(secrets.token_bytes(32)).decode(),
        stripe_webhook=f"whsec_{secrets.token_hex(24)}",
    )


def _token() -> str:
    # Hexadecimal needs no quoting in a URL, a shell or a configuration file. The letter in front
    # keeps nats-server, which parses a variable's text, from reading digits as a number.
    return f"s{secrets.token_hex(24)}"


def _read(path: Path) -> Secrets:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SecretsFileError(
            f"{path} is not readable JSON; `make reset` starts afresh."
        ) from error
    wanted = {f.name for f in fields(Secrets)}
    if not isinstance(found, dict) or set(found) != wanted:
        raise SecretsFileError(
            f"{path} was written by another version of Pulse; `make reset` starts afresh "
            "(the data goes too)."
        )
    path.chmod(0o600)
    return Secrets(**found)


def _write_private(path: Path, text: str) -> None:
    """Write beside and rename: no half file after a crash, never a wider mode."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    beside.replace(path)
