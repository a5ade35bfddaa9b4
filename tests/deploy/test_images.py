"""The image recipes: clean for the linter, unprivileged, locked, and with a health check that tells the truth."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.deploy import shipped

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES = Path(__file__).resolve().parents[2] / "deploy" / "images"
RECIPES = sorted(IMAGES.glob("*Dockerfile"))


@pytest.fixture
def settings_of() -> dict[str, frozenset[str]]:
    return shipped.SETTINGS


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_the_linter_finds_nothing(recipe: Path) -> None:
    hadolint = Path(sys.executable).parent / "hadolint"

    result = subprocess.run([hadolint, recipe], check=False, capture_output=True, text=True)

    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_images_are_pinned_and_run_unprivileged_without_a_shell(recipe: Path) -> None:
    text = recipe.read_text()

    assert re.search(r"^ARG \w+_IMAGE=[\w/]+:\d+\.\d+\.\d+", text, re.MULTILINE)
    assert re.findall(r"^FROM (?!\$\{\w+_IMAGE\}|runtime\b).*", text, re.MULTILINE) == []
    assert re.findall(r"^USER (.*)", text, re.MULTILINE)[-1] in ("10001:10001", "1000")
    assert re.findall(r"^(?:ENTRYPOINT|CMD) (?!\[)", text, re.MULTILINE) == []


def test_every_installed_package_is_hash_locked() -> None:
    text = (IMAGES / "Dockerfile").read_text().replace("\\\n", " ")

    for install in re.findall(r"pip [^&\n]*\binstall [^&\n]*", text):
        assert "--require-hashes" in install or "--no-index --no-deps" in install


def test_every_service_has_its_lock(settings_of: dict[str, frozenset[str]]) -> None:
    requirements = IMAGES.parents[1] / "requirements"

    for service in settings_of:
        assert "--hash=sha256:" in (requirements / f"{service}.txt").read_text()


def test_the_build_context_admits_only_what_is_named() -> None:
    lines = (IMAGES.parents[1] / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]

    assert rules[0] == "*"
    admitted = [rule for rule in rules if rule.startswith("!")]
    assert not [rule for rule in admitted if re.search(r"\.env|\.pulse|secrets|\.git|tests", rule)]


def test_the_build_context_names_each_service_since_older_builders_see_none_behind_a_wildcard(
    settings_of: dict[str, frozenset[str]],
) -> None:
    rules = (IMAGES.parents[1] / ".dockerignore").read_text().splitlines()

    named = {rule.split("/")[1] for rule in rules if rule.startswith("!services/")}

    assert named == settings_of.keys()
    for service in settings_of:
        for part in ("pyproject.toml", "README.md", "src"):
            assert f"!services/{service}/{part}" in rules


class _Answers(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the parent's name
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


def _alive(port: int) -> bool:
    spec = importlib.util.spec_from_file_location("healthcheck", IMAGES / "healthcheck.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return bool(module.alive(port))


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (404, False)])
def test_only_a_good_answer_is_healthy(
    server: HTTPServer, monkeypatch: pytest.MonkeyPatch, status: int, *, healthy: bool
) -> None:
    monkeypatch.setattr(_Answers, "status", status)

    assert _alive(server.server_port) is healthy


def test_no_answer_is_unhealthy(server: HTTPServer) -> None:
    port = server.server_port
    server.socket.close()

    assert _alive(port) is False
