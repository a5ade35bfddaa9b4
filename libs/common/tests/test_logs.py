from __future__ import annotations

import subprocess
import sys

import pytest

from pulse_common.logs import REDACTED, redact


@pytest.mark.parametrize(
    "name", ["password", "NATS_PASSWORD", "access_token", "Authorization", "cookie", "csr_pem"]
)
def test_fields_with_secret_names_are_redacted(name: str) -> None:
    event = redact(None, "info", {"event": "x", name: "hunter2", "deep": {name: "hunter2"}})

    assert "hunter2" not in str(event)
    assert event[name] == REDACTED


def test_other_fields_stay() -> None:
    event = redact(None, "info", {"event": "x", "device_id": "d", "token_id": "t"})

    assert event == {"event": "x", "device_id": "d", "token_id": "t"}


_CRASH = """
import structlog
from pulse_common import logs
logs.configure("crasher", "INFO")
def open_vault(combination):
    note = "hunter2 in a local"
    raise ValueError("the vault is stuck\\nDETAIL: hunter2 in what the message quotes")
try:
    open_vault("hunter2 in an argument")
except ValueError:
    structlog.get_logger("x").exception("vault_stuck")
"""


def test_a_traceback_says_where_and_shows_no_values() -> None:
    """Local variables are passwords, keys and rows; after its first line a database's message quotes the row."""
    said = subprocess.run(
        [sys.executable, "-c", _CRASH], capture_output=True, text=True, check=True
    )

    assert "open_vault" in said.stdout
    assert "the vault is stuck" in said.stdout
    assert "hunter2" not in said.stdout
