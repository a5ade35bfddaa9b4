"""Wiring of billing: the tenant's page, and the calls of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot import billing_api, billing_pages
from ui_iot.billing_links import TenantBilling

if TYPE_CHECKING:
    from pulse_common.http import Endpoint
    from ui_iot.wiring.made import Parts


def endpoints(made: Parts) -> list[Endpoint]:
    billing = TenantBilling(bus=made.bus, db=made.db, directory=made.directory)
    pages = billing_pages.endpoints(db=made.db, billing=billing)
    return [*pages, *billing_api.endpoints(made.bus)]
