"""Wiring of billing's page for tenants; ``operators.py`` wires what operators ask of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot import billing_pages
from ui_iot.billing_links import TenantBilling

if TYPE_CHECKING:
    from pulse_common.http import Endpoint
    from ui_iot.wiring.made import Parts


def endpoints(made: Parts) -> list[Endpoint]:
    billing = TenantBilling(bus=made.bus, db=made.db, directory=made.directory)
    return billing_pages.endpoints(db=made.db, billing=billing)
