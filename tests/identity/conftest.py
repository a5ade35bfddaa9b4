"""Runs every test here against the development identity provider, and against a real Keycloak where there is one."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.identity import development, keycloak
from tests.identity.provider import Admin, Provider
from tests.identity.receiver import running_receiver
from tests.identity.visitor import Application, Browser
from tests.parts import free_port, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.identity.keycloak import Distribution

_FOLDER = Path(__file__).parent
_RAN = pytest.StashKey[list[str]]()


def _distribution() -> Distribution | str:
    try:
        return keycloak.find_distribution()
    except keycloak.NoKeycloak as reason:
        return str(reason)


DISTRIBUTION = _distribution()
KINDS = ["development", *(["keycloak"] if not isinstance(DISTRIBUTION, str) else [])]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _FOLDER in item.path.parents:
            # The first test of a kind waits for its provider's start.
            item.add_marker(pytest.mark.timeout(keycloak.LONGEST_START_SECONDS + 60))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    ran = config.stash.get(_RAN, [])
    if not ran:
        return  # this run was about something else
    line = f"identity suite ran against: {', '.join(ran)}"
    if isinstance(DISTRIBUTION, str):
        line += f"; NOT against a real Keycloak: {DISTRIBUTION}"
    terminalreporter.write_line(line)


@pytest.fixture(scope="session", params=KINDS)
def provider(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Provider]:
    """Start one identity provider with its realm, its people, a mail box and a Pulse to call back."""
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        receiver = stack.enter_context(contextmanager(running_receiver)())
        smtp_port = stack.enter_context(_mail_sink(folder / "mail"))
        if request.param == "development":
            name, api_client = "the development identity provider", development.api_client()
            run = development.running_development(folder, receiver.public_url, smtp_port)
            http = stack.enter_context(_client(stack.enter_context(run)))
        else:
            assert not isinstance(DISTRIBUTION, str)
            name = f"Keycloak {DISTRIBUTION.version}"
            run = keycloak.running_keycloak(DISTRIBUTION, folder, receiver.public_url, smtp_port)
            url = stack.enter_context(run)
            http = stack.enter_context(_client(url))
            keycloak.add_people(http)
            api_client = keycloak.make_api_client(url)
        request.config.stash.setdefault(_RAN, []).append(name)
        yield Provider(
            name=name, http=http, receiver=receiver, mail=folder / "mail", api_client=api_client
        )


def _client(url: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, timeout=30)


@contextmanager
def _mail_sink(folder: Path) -> Iterator[int]:
    port = free_port()
    arguments = ["--folder", str(folder), "--port", str(port)]
    process = subprocess.Popen([sys.executable, "-P", "-m", "pulse_local.smtp", *arguments])
    try:
        wait_for_port(port, 30)
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def browser(provider: Provider) -> Browser:
    return Browser(provider.http)


@pytest.fixture
def application(provider: Provider) -> Application:
    provider.receiver.forget()
    return Application(provider)


@pytest.fixture
def admin(provider: Provider) -> Admin:
    return Admin.of(provider)
