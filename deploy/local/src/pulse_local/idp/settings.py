"""Reads the identity provider's settings from the environment, and reports every mistake at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

LAST_PORT = 65535
SHORTEST_SECRET = 32
SHORTEST_PASSWORD = 8
URLS = ("IDP_ISSUER", "IDP_REDIRECT_URI", "IDP_POST_LOGOUT_URI", "IDP_BACKCHANNEL_LOGOUT_URI")
PORTS = ("IDP_PORT", "IDP_SMTP_PORT")
SECRETS = ("IDP_CLIENT_SECRET", "IDP_ADMIN_CLIENT_SECRET", "IDP_API_CLIENT_SECRET")
REALM_PATH = "/realms/pulse"


class BadSettings(Exception):  # noqa: N818 -- reads as the sentence that the operator sees
    """The environment does not describe an identity provider that may start."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    port: int
    issuer: str
    data_dir: Path
    client_secret: str = field(repr=False)
    admin_client_secret: str = field(repr=False)
    api_client_secret: str = field(repr=False)
    redirect_uri: str
    post_logout_uri: str
    backchannel_logout_uri: str
    smtp_port: int
    demo_password: str = field(repr=False)


def mistakes(environment: Mapping[str, str]) -> list[str]:
    found = []
    if environment.get("PULSE_ENV") != "development":
        found.append("PULSE_ENV must be development: this provider is never for production")
    found += [
        f"{name} must be a port from 1 to {LAST_PORT}"
        for name in PORTS
        if not _is_port(environment.get(name, ""))
    ]
    found += [
        f"{name} must be an http:// or https:// address without query or fragment"
        for name in URLS
        if not _is_plain_url(environment.get(name, ""))
    ]
    if not environment.get("IDP_ISSUER", "").endswith(REALM_PATH):
        found.append(f"IDP_ISSUER must end in {REALM_PATH}")
    found += [
        f"{name} must have {SHORTEST_SECRET} characters or more"
        for name in SECRETS
        if len(environment.get(name, "")) < SHORTEST_SECRET
    ]
    if len(environment.get("IDP_DEMO_PASSWORD", "")) < SHORTEST_PASSWORD:
        found.append(f"IDP_DEMO_PASSWORD must have {SHORTEST_PASSWORD} characters or more")
    if not environment.get("IDP_DATA_DIR"):
        found.append("IDP_DATA_DIR is required")
    return found


def parse_settings(environment: Mapping[str, str]) -> Settings:
    found = mistakes(environment)
    if found:
        raise BadSettings("; ".join(found))
    return Settings(
        port=int(environment["IDP_PORT"]),
        issuer=environment["IDP_ISSUER"],
        data_dir=Path(environment["IDP_DATA_DIR"]),
        client_secret=environment["IDP_CLIENT_SECRET"],
        admin_client_secret=environment["IDP_ADMIN_CLIENT_SECRET"],
        api_client_secret=environment["IDP_API_CLIENT_SECRET"],
        redirect_uri=environment["IDP_REDIRECT_URI"],
        post_logout_uri=environment["IDP_POST_LOGOUT_URI"],
        backchannel_logout_uri=environment["IDP_BACKCHANNEL_LOGOUT_URI"],
        smtp_port=int(environment["IDP_SMTP_PORT"]),
        demo_password=environment["IDP_DEMO_PASSWORD"],
    )


def load_settings() -> Settings:
    # The services read theirs through pulse_common; the stack around them must not depend on it.
    return parse_settings(os.environ)  # noqa: TID251 -- the one place where the provider reads it


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) <= LAST_PORT


def _is_plain_url(text: str) -> bool:
    parts = urlsplit(text)
    plain = not (parts.query or parts.fragment)
    return parts.scheme in {"http", "https"} and bool(parts.netloc) and plain
