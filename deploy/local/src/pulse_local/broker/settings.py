"""Reads the broker's settings from the environment, and reports every mistake at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PORT = 65535
MIN_SECRET_LENGTH = 32
PORTS = ("BROKER_TLS_PORT", "BROKER_TOKEN_PORT", "BROKER_PLAIN_PORT", "BROKER_API_PORT")
FILES = ("BROKER_CERT_FILE", "BROKER_KEY_FILE", "BROKER_CLIENT_CA_FILE")
URLS = ("BROKER_AUTH_URL", "BROKER_ACL_URL", "BROKER_DENIED_URL")
SECRETS = ("BROKER_AUTH_SECRET", "BROKER_API_SECRET")


class BadSettings(Exception):  # noqa: N818 - reads as the sentence that the operator sees
    """The environment does not describe a broker that may start."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    tls_port: int
    token_port: int
    plain_port: int
    api_port: int
    cert_file: Path
    key_file: Path
    client_ca_file: Path
    auth_url: str
    acl_url: str
    denied_url: str
    auth_secret: str = field(repr=False)
    api_key: str
    api_secret: str = field(repr=False)


def mistakes(environment: Mapping[str, str]) -> list[str]:
    found = []
    if environment.get("PULSE_ENV") != "development":
        found.append("PULSE_ENV must be development: this broker is never for production")
    for name in PORTS:
        text = environment.get(name, "")
        if not (text.isascii() and text.isdigit() and 0 < int(text) <= MAX_PORT):
            found.append(f"{name} must be a port from 1 to {MAX_PORT}")
    found += [
        f"{name} must name a readable file"
        for name in FILES
        if not Path(environment.get(name, "")).is_file()
    ]
    found += [
        f"{name} must be an http:// or https:// address"
        for name in URLS
        if not environment.get(name, "").startswith(("http://", "https://"))
    ]
    found += [
        f"{name} must have {MIN_SECRET_LENGTH} characters or more"
        for name in SECRETS
        if len(environment.get(name, "")) < MIN_SECRET_LENGTH
    ]
    if not environment.get("BROKER_API_KEY"):
        found.append("BROKER_API_KEY is missing")
    return found


def parse_settings(environment: Mapping[str, str]) -> Settings:
    found = mistakes(environment)
    if found:
        raise BadSettings("; ".join(found))
    return Settings(
        tls_port=int(environment["BROKER_TLS_PORT"]),
        token_port=int(environment["BROKER_TOKEN_PORT"]),
        plain_port=int(environment["BROKER_PLAIN_PORT"]),
        api_port=int(environment["BROKER_API_PORT"]),
        cert_file=Path(environment["BROKER_CERT_FILE"]),
        key_file=Path(environment["BROKER_KEY_FILE"]),
        client_ca_file=Path(environment["BROKER_CLIENT_CA_FILE"]),
        auth_url=environment["BROKER_AUTH_URL"],
        acl_url=environment["BROKER_ACL_URL"],
        denied_url=environment["BROKER_DENIED_URL"],
        auth_secret=environment["BROKER_AUTH_SECRET"],
        api_key=environment["BROKER_API_KEY"],
        api_secret=environment["BROKER_API_SECRET"],
    )


def load_settings() -> Settings:
    # The services read their settings through pulse_common; this package must not depend on it.
    return parse_settings(os.environ)  # noqa: TID251 - the one place where the broker reads it
