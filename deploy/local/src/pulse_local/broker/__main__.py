"""Runs the development broker: `python -m pulse_local.broker`."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from pulse_local.broker.app import run
from pulse_local.broker.settings import BadSettings, Settings, load_settings


async def serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(settings, stop)


def main() -> int:
    try:
        settings = load_settings()
    except BadSettings as error:
        sys.stderr.write(f"The broker did not start: {error}\n")
        return 2
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
