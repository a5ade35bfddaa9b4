"""Run the service: ``python -m ui_iot``."""

from __future__ import annotations

from pulse_common import runtime
from ui_iot.app import NAME, start
from ui_iot.settings import Settings

if __name__ == "__main__":
    runtime.main(NAME, Settings, start)
