"""Runs the development identity provider on the loopback interface until it is told to stop."""

from __future__ import annotations

import sys

import structlog
import uvicorn

from pulse_local.idp.app import create_app
from pulse_local.idp.settings import BadSettings, load_settings


def main() -> int:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(),
        ]
    )
    try:
        settings = load_settings()
    except BadSettings as error:
        sys.stderr.write(f"The identity provider does not start: {error}\n")
        return 2
    uvicorn.run(
        create_app(settings),
        host="127.0.0.1",
        port=settings.port,
        # Its lines hold codes and states, and whom an address names is the edge's business.
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=200,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=3,
        log_level="warning",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
