"""Make the devices' certificate authority on the first run: its root in a folder that no service knows."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from pulse_local.processes import PartFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def make_authority(environment: Mapping[str, str], root_folder: Path, log: Path) -> None:
    """Run the ceremony's command in a process of its own; it does nothing when there is an authority."""
    with log.open("ab") as output:
        finished = subprocess.run(  # noqa: S603 -- our own module, with a path of ours
            [sys.executable, "-P", "-m", "cert_worker.command", "development", str(root_folder)],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=60,
        )
    if finished.returncode != 0:
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        raise PartFailedError(
            f"The certificate authority could not be made (exit code {finished.returncode}).\n  log: {log}\n"
            + "".join(f"  | {line}\n" for line in last)
        )
