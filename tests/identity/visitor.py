"""A browser and the application behind it, as both identity providers see them."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx2

if TYPE_CHECKING:
    from tests.identity.provider import Provider

MOST_STEPS = 8


@dataclass(slots=True)
class Browser:
    """Keeps cookies, Secure ones too, as browsers do for this machine; follows redirects step by step."""

    http: httpx2.Client
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, url: str, **parameters: str) -> httpx2.Response:
        return self._remember(
            self.http.get(url, params=parameters or None, headers=self._headers())
        )

    def post(self, url: str, form: dict[str, str]) -> httpx2.Response:
        return self._remember(self.http.post(url, data=form, headers=self._headers()))

    def settle(self, response: httpx2.Response) -> httpx2.Response:
        """Follow redirects within the provider; stop at a page, or at one that leads out of it."""
        for _ in range(MOST_STEPS):
            location = response.headers.get("location", "")
            target = str(response.url.join(location))
            if response.status_code not in {302, 303} or self._is_outside(target):
                return response
            response = self.get(target)
        raise AssertionError("the provider redirects in circles")

    def log_in(self, url: str, username: str, password: str) -> httpx2.Response:
        page = self.settle(self.get(url))
        return self.submit(page, "kc-form-login", {"username": username, "password": password})

    def submit(self, page: httpx2.Response, form: str, values: dict[str, str]) -> httpx2.Response:
        """Fill in a form of the page, by Keycloak's id for it."""
        assert page.status_code == 200, page.text
        return self.settle(self.post(action_of(page, form), values))

    def _is_outside(self, url: str) -> bool:
        return urlsplit(url).netloc != self.http.base_url.netloc.decode()

    def _headers(self) -> dict[str, str]:
        pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"cookie": pairs} if pairs else {}

    def _remember(self, response: httpx2.Response) -> httpx2.Response:
        for line in response.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if value in {"", '""'}:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return response


def action_of(page: httpx2.Response, form: str) -> str:
    (tag,) = re.findall(rf'<form[^>]*id="{form}"[^>]*>', page.text) or [""]
    found = re.search(r'action="([^"]+)"', tag)
    assert found, page.text
    return str(page.url.join(html.unescape(found[1])))


@dataclass(slots=True)
class Application:
    """The confidential client pulse-ui: asks for a log-in and exchanges what comes of it."""

    provider: Provider
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    @property
    def callback(self) -> str:
        return f"{self.provider.public_url}/auth/callback"

    def log_in_url(self, **changes: str | None) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": "pulse-ui",
            "redirect_uri": self.callback,
            "scope": "openid",
            "state": "the state",
            "nonce": self.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        known = {name: text for name, text in (parameters | changes).items() if text is not None}
        return f"{self.provider.protocol}/auth?{httpx2.QueryParams(known)}"

    def answer_of(self, response: httpx2.Response) -> dict[str, str]:
        """Read the redirect back to the application."""
        assert response.status_code in {302, 303}, response.text
        location = response.headers["location"]
        assert location.startswith(f"{self.callback}?"), location
        return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}

    def tokens(self, browser: Browser, username: str, **changes: str) -> dict[str, Any]:
        """Log somebody in from the first page to the token answer."""
        page = browser.log_in(self.log_in_url(**changes), username, self.provider.password)
        answer = self.exchange(self.answer_of(page)["code"])
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def exchange(self, code: str, **changes: str) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.callback,
            "code_verifier": self.verifier,
        }
        return self.provider.token(form | changes)

    def refresh(self, refresh_token: str) -> httpx2.Response:
        return self.provider.token({"grant_type": "refresh_token", "refresh_token": refresh_token})


def claims_of(token: str) -> dict[str, Any]:
    return _part(token, 1)


def header_of(token: str) -> dict[str, Any]:
    return _part(token, 0)


def _part(token: str, number: int) -> dict[str, Any]:
    part: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[number] + "=="))
    return part
