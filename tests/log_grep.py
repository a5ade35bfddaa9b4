"""At the end of every test run, its logs are searched for what must never be in one: who pays, with what, and how much.

Looked at are the log lines that each test captured, and the files that whole stacks of this run have left.  Billing's
tests give every customer and invoice at Stripe the values below, so that whatever is logged of one is recognised.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PERSON = {
    "name": "Jenny Rosen-Private",
    "email": "jenny.private@paying.example",
    "phone": "+15555550199",
    "address": "510 Private Street",
    "card": "4242424242424242",
}
AMOUNT = 987_654_321

#: A line of our own: for people when a test runs in one process with the service, JSON when the service is a process.
_LINE = re.compile(
    r'^(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[\w+ *\] |\{".*"event": ").*', re.MULTILINE
)
_FIELD = re.compile(
    r"""(?:^|[\s{,"])(?:e_?mail|customer_email|customer_name|amount(?:_\w+)?|currency|card|last4)"?[=:]"""
)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}")
_DIGITS = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w.-])")


def private(line: str) -> str | None:
    """Say what one line of a log should not hold, or None."""
    for what, value in {**PERSON, "amount": str(AMOUNT)}.items():
        if value in line:
            return f"the {what} of somebody who pays"
    if _EMAIL.search(line):
        return "an e-mail address"
    if any(_is_card(re.sub(r"\D", "", found)) for found in _DIGITS.findall(line)):
        return "a card number"
    field = _FIELD.search(line)
    return f"a field {field[0].strip()}" if field else None


def _is_card(digits: str) -> bool:
    """Whether the number is one of the big schemes' by its first digit and its check digit (ISO/IEC 7812)."""
    doubled = [int(d) * 2 for d in digits[-2::-2]]
    total = sum(map(int, digits[-1::-2])) + sum(d - 9 if d > 9 else d for d in doubled)
    return digits[0] in "3456" and total % 10 == 0


class LogGrep:
    """A pytest plugin: collects while tests run, and fails the run at its end."""

    def __init__(self, artifacts: Path) -> None:
        self.artifacts = artifacts
        self.began_at = time.time()
        self.lines = 0
        self.found: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for line in _LINE.findall("\n".join(text for _, text in report.sections)):
            self._look(report.nodeid, line)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workerinput"):
            return  # the process that gathers all workers' reports looks at them
        for path, line in self._files():
            self._look(path.name, line)
        if self.found:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.found:
            return
        terminalreporter.section("private things in the logs")
        for found in self.found[:50]:
            terminalreporter.line(found)

    def _files(self) -> Iterator[tuple[Path, str]]:
        for path in self.artifacts.glob("logs*/*.log"):
            if path.stat().st_mtime >= self.began_at:
                for line in path.read_text(errors="replace").splitlines():
                    yield path, line

    def _look(self, where: str, line: str) -> None:
        self.lines += 1
        what = private(line)
        if what is not None:
            self.found.append(f"{where}: {what}: {line[:300]}")
