"""The one way to have people told by e-mail: an event through the outbox, which ui_iot mails.

Its consumer keeps each notice as a row whose key lets no second one in, and mails from the rows: see
``docs/decisions/0019-one-service-mails.md``.  Whoever emits it needs NATS's leave to publish it.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from pulse_common.events import Event

AT_ONCE: Final = 0
DAILY: Final = 24 * 3600

OneLine = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")
]


class NoticeRaised(Event):
    """Something that a tenant's people should hear of by e-mail, once.

    A notice of the platform's tenant (``ids.PLATFORM_TENANT``) is for operators.
    """

    subject = "pulse.events.notice.raised"

    topic: str = Field(pattern=r"^[a-z][a-z_]{0,29}$")
    """What one can unsubscribe from: ``certificates``, ``alerts``, ``delivery``, ``devices`` …"""
    notice_key: str = Field(min_length=1, max_length=200)
    """What it is about, of its tenant and topic: a second one with the same key is not mailed."""
    title: OneLine
    text: str = Field(max_length=4000)
    path: str = Field(default="/", pattern=r"^/(?:[!-.0-~][!-~]{0,499})?$")
    """Where in Pulse there is more to see."""
    patience_seconds: int = Field(default=AT_ONCE, ge=0, le=7 * DAILY)
    """How long it may wait for others to share a mail with; ``AT_ONCE`` is a mail of its own."""
    to: list[str] = Field(default=[], max_length=50)
    """Who hears of it; nobody named means whom the tenant has named for notices, else its administrators."""
