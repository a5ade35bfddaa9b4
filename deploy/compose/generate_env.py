"""Write deploy/compose/.env and secrets/ with fresh random secrets; standard library only, never overwrites."""

# ruff: noqa: INP001 -- a script on its own, in no package
from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path

SECRET_BYTES = 32
# Given by others or meant to stay empty.
_LEFT_EMPTY = frozenset(
    {
        "MQTT_AUTH_SECRET_PREVIOUS",
        "STRIPE_API_KEY",
        "STRIPE_PRICES",
        "BILLING_DEFAULT_PLAN",
        "DELIVERY_SECRET_KEY_PREVIOUS",
        "DELIVERY_ALLOWED_NETWORKS",
    }
)


def fill(template: str) -> str:
    """Return ``template`` with a random secret after each name that has no value."""
    return "".join(_fill_line(line) for line in template.splitlines(keepends=True))


def _fill_line(line: str) -> str:
    name, separator, value = line.rstrip("\n").partition("=")
    if line.startswith("#") or not separator or value or name in _LEFT_EMPTY:
        return line
    return f"{name}={_random(name)}\n"


def _random(name: str) -> str:
    if name in {"SESSION_ENCRYPTION_KEY", "DELIVERY_SECRET_KEY"}:
        return base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    # Hexadecimal: safe in a URL, in HOCON, in NATS's quotes and in an API key file, whatever comes first in it.
    return secrets.token_hex(SECRET_BYTES)


def api_key_line(env: str) -> str:
    """Return EMQX's bootstrap file for the key that mqtt_authz uses."""
    values = dict(line.split("=", 1) for line in env.splitlines() if "=" in line and line[0] != "#")
    return f"{values['EMQX_API_KEY']}:{values['EMQX_API_SECRET']}:administrator\n"


def write_new(path: Path, text: str, mode: int) -> None:
    """Create ``path`` with ``mode`` from its first moment.

    Raises:
        FileExistsError: it is there; replacing secrets in use would lock everybody out.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    path.chmod(mode)


def main(folder: Path) -> None:
    env = fill((folder / ".env.example").read_text())
    write_new(folder / ".env", env, 0o600)
    (folder / "secrets").mkdir(mode=0o700, exist_ok=True)
    # Readable by the container's user, whoever that is; the folder above keeps everybody else out.
    write_new(folder / "secrets" / "emqx_api_key", api_key_line(env), 0o444)
    sys.stdout.write(
        f"wrote {folder / '.env'} and {folder / 'secrets'}\n"
        "set PULSE_DOMAIN, EDGE_TLS and STRIPE_WEBHOOK_SECRETS in .env, and add the broker's certificate:\n"
        "secrets/mqtt_certificate.pem, secrets/mqtt_key.pem, secrets/mqtt_ca.pem (docs/operations/deployment.md)\n"
    )


if __name__ == "__main__":
    try:
        main(Path(__file__).resolve().parent)
    except FileExistsError as error:
        sys.exit(
            f"{error.filename} exists; move it away first if its secrets are really to be replaced"
        )
