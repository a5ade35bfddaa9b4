"""What `make run` says: progress, where things are, how to log in."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, TextIO

from pulse_local.seed import PEOPLE

if TYPE_CHECKING:
    from pulse_local.stack import Stack
    from pulse_local.steps import StepDone


class Terminal:
    """Lines for a person, written out at once even when they go into a pipe."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        # The terminal may be closed by now; the parts must be stopped all the same.
        with contextlib.suppress(OSError):
            self._output.write(f"{text}\n")
            self._output.flush()

    def step_done(self, step: StepDone) -> None:
        self.say(f"  {self.seconds():5.1f} s  {step.name:<28} ready ({step.seconds:.1f} s)")

    def seconds(self) -> float:
        return time.monotonic() - self._began


def welcome(stack: Stack, seconds: float) -> str:
    """Say where Pulse is, who may log in and why the browser will complain."""
    width = max(map(len, PEOPLE))
    people = "\n".join(f"    {name:<{width}}  {role}" for name, role in PEOPLE.items())
    return f"""
Pulse is ready after {seconds:.0f} s:  {stack.url}

  Log in with the password  {stack.secrets.demo_password}
{people}

  Three demo devices of Acme publish this machine's own readings.
  The browser will warn about the development certificate. To trust it, import
    {stack.tls.ca}
  as a certificate authority (it can only vouch for this machine's own names).

  data {stack.data}
  logs {stack.logs}   mail {stack.data / "mail"}
  MQTT mqtts://localhost:{stack.ports.mqtts} (mutual TLS), {stack.ports.mqtts_token} (device tokens)

Ctrl-C stops everything and keeps the data; `make reset` deletes it."""


def goodbye(stack: Stack) -> str:
    return f"Everything is stopped. The data is kept in {stack.data}; `make reset` deletes it."
