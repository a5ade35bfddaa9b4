"""Run the service: ``python -m billing_webhooks``."""

from __future__ import annotations

from billing_webhooks.app import NAME, start
from billing_webhooks.settings import Settings
from pulse_common import runtime

if __name__ == "__main__":
    runtime.main(NAME, Settings, start)
