"""Run the service: ``python -m delivery_worker``."""

from __future__ import annotations

from delivery_worker.app import NAME, start
from delivery_worker.settings import Settings
from pulse_common import runtime

if __name__ == "__main__":
    runtime.main(NAME, Settings, start)
