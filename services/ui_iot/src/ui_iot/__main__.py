"""Run the service: ``python -m ui_iot``."""

from __future__ import annotations

from pulse_common import runtime
from ui_iot.app import start
from ui_iot.settings import Settings
from ui_iot.wiring.made import NAME

if __name__ == "__main__":
    runtime.main(NAME, Settings, start, websockets=True)
