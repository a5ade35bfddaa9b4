"""When a part counts as ready: it answers HTTP, accepts TCP or has written a file."""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TIMEOUT_SECONDS = 2.0


def answers_http(port: int, path: str) -> Callable[[], bool]:
    """Ready once GET http://127.0.0.1:port/path answers 200."""

    def check() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return check


def accepts_tcp(*ports: int) -> Callable[[], bool]:
    """Ready once every one of the ports takes a connection."""

    def check() -> bool:
        return all(_accepts(port) for port in ports)

    return check


def is_written(*paths: Path) -> Callable[[], bool]:
    """Ready once every one of the files exists and is not empty."""

    def check() -> bool:
        return all(path.exists() and path.stat().st_size > 0 for path in paths)

    return check


def all_of(*checks: Callable[[], bool]) -> Callable[[], bool]:
    """Ready once every check says so."""
    return lambda: all(check() for check in checks)


def at_once() -> bool:
    """Ready as soon as it runs: for a part that nobody waits for."""
    return True


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS):
            return True
    except OSError:
        return False
