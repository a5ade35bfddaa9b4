"""The search of a run's logs finds what it looks for, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.log_grep import AMOUNT, PERSON, private
from tests.parts import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "said",
    [
        *PERSON.values(),
        str(AMOUNT),
        "recipient=nina@acme.example",
        "number=5555 5555 5555 4444",
        "n=378282246310005",
        "amount_due=12",
        '"currency": "eur"',
        "email=x",
    ],
)
def test_what_must_not_be_logged_is_found(said: str) -> None:
    assert private(f"2026-01-01 00:00:00 [info     ] invoice_read   {said} tenant_id=7") is not None


@pytest.mark.parametrize(
    "said",
    [
        "tenant_id=01a20add-2f00-74d2-9549-ae4c5e6a12cc version=3",
        "database=postgresql://svc_x:secret@127.0.0.1:5432/pulse",
        "serial=4242424242424243 position=98765432",
        "event_id=evt_5555555555554444 outcome=handled",
        "at=2026-11-24T00:06:26.049009Z milliseconds=219.5",
        "kind=usage_messages_80 recipients=2",
    ],
)
def test_ids_and_states_are_no_findings(said: str) -> None:
    assert private(f"2026-01-01 00:00:00 [info     ] request_answered   {said}") is None


def test_a_run_in_which_one_test_logs_an_address_fails_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from pathlib import Path\n"
        "from tests.log_grep import LogGrep\n"
        "def pytest_configure(config):\n"
        "    config.pluginmanager.register(LogGrep(Path(__file__).parent), 'log grep')\n"
    )
    (tmp_path / "test_it.py").write_text(
        "import structlog\n"
        "def test_it():\n"
        "    structlog.get_logger().info('mail_sent', to='nina@acme.example')\n"
    )

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "."],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert run.returncode == 1, run.stdout
    assert "1 passed" in run.stdout
    assert "test_it.py::test_it: an e-mail address" in run.stdout
