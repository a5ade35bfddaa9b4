"""What a command says when it cannot do its work: one sentence, exit code 2; 1 is a finding."""

from __future__ import annotations


class AdminError(Exception):
    """The message is for the person at the terminal and repeats no secret."""
