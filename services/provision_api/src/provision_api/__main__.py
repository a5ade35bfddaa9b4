"""Run the service: ``python -m provision_api``."""

from __future__ import annotations

from provision_api.app import NAME, start
from provision_api.settings import Settings
from pulse_common import runtime

if __name__ == "__main__":
    runtime.main(NAME, Settings, start)
