"""Has a tenant told of a route in trouble: as an event, and by e-mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pulse_common import outbox
from pulse_common.notices import NoticeRaised

if TYPE_CHECKING:
    from pulse_common.delivery_events import RouteTroubled
    from pulse_common.tenancy import TenantTx

_TITLES: Final = {
    "failing": "A webhook has failed for a day",
    "disabled": "A webhook was disabled",
    "gone": "A webhook was disabled by its endpoint",
    "full": "A webhook has no room for more",
}
_TEXTS: Final = {
    "failing": "Nothing could be delivered since {since}. It is tried further, and disabled after three days.",
    "disabled": "Nothing could be delivered since {since}, so nothing is tried any more. What happens is collected"
    " until there is no more room: resume the route once its endpoint works.",
    "gone": "The endpoint answered 410 Gone, which asks for nothing more, so nothing is tried any more. What happens is"
    " collected until there is no more room: resume the route if that was a mistake, or delete it.",
    "full": "As many messages wait for it as may. What happens from now on is not delivered, and counted, until there"
    " is room again: resume the route, or mend its endpoint.",
}


async def tell(tx: TenantTx, troubled: RouteTroubled) -> None:
    """Say so with the transaction that found it."""
    await outbox.emit(tx, troubled)
    await outbox.emit(tx, notice_of(troubled))


def notice_of(troubled: RouteTroubled) -> NoticeRaised:
    text = _TEXTS[troubled.kind].format(since=f"{troubled.since:%Y-%m-%d %H:%M} UTC")
    return NoticeRaised(
        tenant_id=troubled.tenant_id,
        at=troubled.at,
        topic="delivery",
        # Once for each outage, and for a full route once a day.
        notice_key=f"{troubled.route_id} {troubled.kind} {troubled.since:%Y-%m-%dT%H:%M:%S}",
        title=_TITLES[troubled.kind],
        text=f"Route: {troubled.name}\n\n{text}",
        path=f"/routes/{troubled.route_id}",
    )
