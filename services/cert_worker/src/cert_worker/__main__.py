"""Run the service: ``python -m cert_worker``."""

from __future__ import annotations

from cert_worker.app import NAME, start
from cert_worker.settings import Settings
from pulse_common import runtime

if __name__ == "__main__":
    runtime.main(NAME, Settings, start)
