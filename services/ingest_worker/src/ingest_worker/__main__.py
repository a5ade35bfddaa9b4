"""Run the service: ``python -m ingest_worker``."""

from __future__ import annotations

from ingest_worker.app import NAME, start
from ingest_worker.settings import Settings
from pulse_common import runtime

if __name__ == "__main__":
    runtime.main(NAME, Settings, start)
