"""A tar file piece by piece: each member's size is known when it comes, and nothing is kept (POSIX ustar)."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

END = b"\0" * (2 * tarfile.BLOCKSIZE)


def member(name: str, content: bytes, at: datetime) -> bytes:
    """Return one file of the archive, header and padding included."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mtime = int(at.timestamp())
    header = info.tobuf(tarfile.USTAR_FORMAT)
    return header + content + b"\0" * (-len(content) % tarfile.BLOCKSIZE)
