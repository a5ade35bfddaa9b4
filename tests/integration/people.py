"""People of the demo realm, signed in through the edge: in a browser with a session, and with a bearer token."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx2

if TYPE_CHECKING:
    from pulse_local.environments import Environments

ALICE = "alice@acme.example"
MALLORY = "mallory@globex.example"
_PROTOCOL = "/realms/pulse/protocol/openid-connect"


@dataclass(frozen=True, kw_only=True)
class Person:
    """`browser` holds a session and sends its CSRF token; `api` sends an access token and no cookie."""

    browser: httpx2.Client
    api: httpx2.Client

    @property
    def cookies(self) -> str:
        """What the browser would send with a WebSocket's handshake."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.browser.cookies.jar)

    def close(self) -> None:
        self.browser.close()
        self.api.close()


def edge_client(where: Environments, **headers: str) -> httpx2.Client:
    """Give a client of the edge that trusts the development web CA and nothing else."""
    return httpx2.Client(
        base_url=where.public_url,
        headers=headers,
        verify=ssl.create_default_context(cafile=where.tls.ca),
        trust_env=False,
        timeout=20,
    )


def sign_in(where: Environments, email: str, password: str = "", home: str = "/devices") -> Person:
    """Log in as the pages do, then once more as an API client (the realm remembers the browser).

    People of the demo have one password; whoever was invited has their own.  ``home`` is a page that they may see.
    """
    browser, _ = log_in(where, email, password)
    page = browser.get(home)
    assert page.status_code == 200, page.text
    csrf = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
    assert csrf, page.text
    browser.headers["x-csrf-token"] = html.unescape(csrf[1])
    token = _access_token(where, browser)
    return Person(browser=browser, api=edge_client(where, authorization=f"Bearer {token}"))


def log_in(
    where: Environments, email: str, password: str = ""
) -> tuple[httpx2.Client, httpx2.Response]:
    """Pass the identity provider's form, and return the browser with what the callback answered it."""
    browser = edge_client(where, **{"origin": where.public_url, "sec-fetch-site": "same-origin"})
    login = browser.get("/auth/login", follow_redirects=True)
    form = {"username": email, "password": password or where.secrets.demo_password}
    return browser, browser.post(_action_of(login), data=form, follow_redirects=True)


def _access_token(where: Environments, browser: httpx2.Client) -> str:
    """Drive the code flow with PKCE as the application itself would."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    callback = f"{where.public_url}/auth/callback"
    query = {
        "response_type": "code",
        "client_id": "pulse-ui",
        "redirect_uri": callback,
        "scope": "openid",
        "state": secrets.token_urlsafe(16),
        "nonce": secrets.token_urlsafe(16),
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    answer = browser.get(f"{_PROTOCOL}/auth", params=query)
    code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": callback,
        "code_verifier": verifier,
    }
    secret = ("pulse-ui", where.secrets.oidc_client)
    tokens = browser.post(f"{_PROTOCOL}/token", data=form, auth=secret)
    assert tokens.status_code == 200, tokens.text
    return str(tokens.json()["access_token"])


def _action_of(login: httpx2.Response) -> str:
    found = re.search(r'<form id="kc-form-login"[^>]* action="([^"]+)"', login.text)
    assert found, login.text
    return html.unescape(found[1])
