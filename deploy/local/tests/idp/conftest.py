"""A really running identity provider on a free port, and a small browser to visit it with."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import uvicorn

from pulse_local.idp.app import PROTOCOL, create_app
from pulse_local.idp.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

ISSUER = "https://localhost:8443/realms/pulse"
CALLBACK = "https://localhost:8443/auth/callback"
HOME = "https://localhost:8443/"
PASSWORD = "correct horse"
SECRET = "s" * 40
ADMIN_SECRET = "a" * 40
ALICE = "alice@acme.example"


@dataclass(slots=True)
class MovableClock:
    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass(slots=True)
class Browser:
    """Keeps cookies, Secure ones too, as a browser does on localhost; follows no redirect by itself."""

    http: httpx2.Client
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, url: str, **parameters: str) -> httpx2.Response:
        return self._remember(
            self.http.get(url, params=parameters or None, headers=self._headers())
        )

    def post(self, url: str, form: dict[str, str], **headers: str) -> httpx2.Response:
        return self._remember(self.http.post(url, data=form, headers=self._headers() | headers))

    def log_in(self, url: str, username: str = ALICE, password: str = PASSWORD) -> httpx2.Response:
        page = self.get(url)
        assert page.status_code == 200, page.text
        return self.post(self.action_of(page), {"username": username, "password": password})

    @staticmethod
    def action_of(page: httpx2.Response) -> str:
        found = re.search(r'<form id="kc-form-login"[^>]* action="([^"]+)"', page.text)
        assert found, page.text
        return html.unescape(found[1])

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


@dataclass(slots=True)
class Application:
    """The confidential client: makes requests to log in and exchanges what comes of them."""

    http: httpx2.Client
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def log_in_url(self, **changes: str | None) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": "pulse-ui",
            "redirect_uri": CALLBACK,
            "scope": "openid",
            "state": "the state",
            "nonce": "the nonce",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        known = {name: text for name, text in (parameters | changes).items() if text is not None}
        return f"{PROTOCOL}/auth?{httpx2.QueryParams(known)}"

    @staticmethod
    def answer_of(response: httpx2.Response) -> dict[str, str]:
        """Read the redirect back to the client."""
        assert response.status_code == 302, response.text
        location = response.headers["location"]
        assert location.startswith(f"{CALLBACK}?")
        return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}

    def tokens(self, browser: Browser, username: str = ALICE) -> dict[str, Any]:
        """Log somebody in from the first page to the token answer."""
        code = self.answer_of(browser.log_in(self.log_in_url(), username))["code"]
        answer = self.exchange(code)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def exchange(self, code: str, **changes: str) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": self.verifier,
        }
        return self.token(form | changes)

    def refresh(self, refresh_token: str, **changes: str) -> httpx2.Response:
        return self.token({"grant_type": "refresh_token", "refresh_token": refresh_token} | changes)

    def token(self, form: dict[str, str], secret: str = SECRET) -> httpx2.Response:
        return self.http.post(f"{PROTOCOL}/token", data=form, auth=("pulse-ui", secret))


def settings(data_dir: Path, port: int = 1) -> Settings:
    return Settings(
        port=port,
        issuer=ISSUER,
        data_dir=data_dir,
        client_secret=SECRET,
        redirect_uri=CALLBACK,
        post_logout_uri=HOME,
        admin_client_secret=ADMIN_SECRET,
        api_client_secret=SECRET,
        # Nobody listens there; the suite in tests/identity has a receiver and a mail box.
        backchannel_logout_uri="http://127.0.0.1:1/auth/backchannel-logout",
        smtp_port=1,
        demo_password=PASSWORD,
    )


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Share one folder, since making a key takes longer than most tests."""
    return tmp_path_factory.mktemp("idp")


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@dataclass(slots=True)
class Outlet:
    """An application that hands over to the one of the test that runs now."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def served(data_dir: Path) -> Iterator[tuple[Outlet, str]]:
    """Serve on a free port: one server for all tests, since starting and stopping it takes longest."""
    outlet = Outlet(create_app(settings(data_dir)))
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(outlet, log_level="warning", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield outlet, f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listener.close()


@pytest.fixture
def provider(
    served: tuple[Outlet, str], data_dir: Path, clock: MovableClock
) -> Iterator[httpx2.Client]:
    """Start afresh, with nobody logged in; the client speaks to it as the services inside do."""
    outlet, url = served
    outlet.app = create_app(settings(data_dir), clock)
    with httpx2.Client(base_url=url) as http:
        yield http


@pytest.fixture
def browser(provider: httpx2.Client) -> Browser:
    return Browser(provider)


@pytest.fixture
def application(provider: httpx2.Client) -> Application:
    return Application(provider)
