"""Ask the service in this container whether it is alive; exit 0 or 1.  Standard library only: the image has no curl."""

# ruff: noqa: INP001 -- a script on its own, in no package
from __future__ import annotations

import http.client
import os
import sys

TIMEOUT_SECONDS = 3


def alive(port: int) -> bool:
    """Return whether ``/healthz`` on this machine's ``port`` answers 200 within the time-out."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    # Runs outside the service's own code and settings, so it reads its one variable itself.
    sys.exit(0 if alive(int(os.environ["HTTP_PORT"])) else 1)  # noqa: TID251
