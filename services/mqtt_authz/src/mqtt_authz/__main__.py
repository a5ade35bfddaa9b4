"""Run the service: ``python -m mqtt_authz``."""

from __future__ import annotations

from mqtt_authz.app import NAME, start
from mqtt_authz.settings import Settings
from pulse_common import runtime

runtime.main(NAME, Settings, start)
