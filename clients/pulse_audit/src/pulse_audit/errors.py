"""What can be wrong, and with which exit code the command then ends."""

from __future__ import annotations


class AuditError(Exception):
    """The message says what, in one line."""

    exit_code = 2


class Unreadable(AuditError):  # noqa: N818 -- reads as an outcome
    """A file is not what it should be: nothing was checked."""


class Tampered(AuditError):  # noqa: N818
    """The log is not what was sealed; the message names the first row or batch that shows it."""

    exit_code = 1
