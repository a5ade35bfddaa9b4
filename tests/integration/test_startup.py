"""Every service refuses wrong settings, naming all mistakes at once and no value; the stack gives the right ones."""

from __future__ import annotations

import importlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pulse_common import settings
from pulse_local.environments import minimal
from pulse_local.parts import SERVICES

if TYPE_CHECKING:
    from pulse_local.stack import Stack

pytestmark = pytest.mark.integration

EX_CONFIG = 78
SHORT = "pa55"
# Made by somebody else's mail server or token: how long they are is not ours to say.
OF_OTHERS = {"PKCS11_PIN", "SMTP_PASSWORD"}


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What a service said and how it ended."""

    code: int
    said: str

    def names(self) -> set[str]:
        """Give every word in capitals: how variables are written."""
        words = self.said.replace(";", " ").replace(":", " ").split()
        return {word for word in words if word.isupper() and len(word) > 3}


@dataclass(frozen=True, kw_only=True)
class Refusals:
    """How one service answers an empty environment, and one of wrong values."""

    empty: Refusal
    wrong: Refusal


@pytest.fixture(scope="session")
def refusals() -> dict[str, Refusals]:
    """Start each service twice, as many at once as there are processors: most of it is importing."""
    with ThreadPoolExecutor(2) as pool:
        empty = pool.map(lambda service: _start(service, {}), SERVICES)
        wrong = pool.map(lambda service: _start(service, _wrong(service)), SERVICES)
        pairs = zip(SERVICES, empty, wrong, strict=True)
        return {service: Refusals(empty=one, wrong=two) for service, one, two in pairs}


@pytest.mark.parametrize("service", SERVICES)
def test_missing_settings_are_all_named_at_once(
    refusals: dict[str, Refusals], service: str
) -> None:
    refusal = refusals[service].empty

    assert refusal.code == EX_CONFIG
    assert refusal.said.startswith(f"{service} cannot start: ")
    assert refusal.names() >= _required(service)
    assert "Traceback" not in refusal.said


@pytest.mark.parametrize("service", SERVICES)
def test_short_secrets_are_all_named_at_once_beside_what_is_missing(
    refusals: dict[str, Refusals], service: str
) -> None:
    refusal = refusals[service].wrong

    assert refusal.code == EX_CONFIG
    # Missing: all that is no secret. Short: all that is.
    assert refusal.names() >= _required(service) | (_secrets(service) - OF_OTHERS)
    assert len(_secrets(service)) >= 2


@pytest.mark.parametrize("service", SERVICES)
def test_values_of_secrets_are_never_printed(refusals: dict[str, Refusals], service: str) -> None:
    assert SHORT not in refusals[service].wrong.said


@pytest.mark.parametrize("service", SERVICES)
def test_the_stack_gives_each_service_what_it_reads_and_nothing_else(
    stack: Stack, service: str
) -> None:
    given = stack.environments.of_service(service)
    own = set(given) - set(minimal())

    loaded = settings.load(_settings(service), given)

    assert own <= _names(service)
    assert own >= _required(service)
    assert not [name for name in _secrets(service) & own if given[name] in repr(loaded)]


def _start(service: str, environment: dict[str, str]) -> Refusal:
    ended = subprocess.run(
        [sys.executable, "-P", "-m", service],
        env={**minimal(), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Refusal(code=ended.returncode, said=ended.stdout + ended.stderr)


def _settings(service: str) -> type[settings.ServiceSettings]:
    found: type[settings.ServiceSettings] = importlib.import_module(f"{service}.settings").Settings
    assert issubclass(found, settings.ServiceSettings)
    return found


def _names(service: str) -> set[str]:
    return {name.upper() for name in _settings(service).model_fields}


def _required(service: str) -> set[str]:
    fields = _settings(service).model_fields
    return {name.upper() for name, field in fields.items() if field.is_required()}


def _secrets(service: str) -> set[str]:
    fields = _settings(service).model_fields
    return {name.upper() for name, field in fields.items() if "SecretStr" in str(field.annotation)}


def _wrong(service: str) -> dict[str, str]:
    return dict.fromkeys(_secrets(service), SHORT)
