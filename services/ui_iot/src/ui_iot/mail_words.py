"""What a mail of notices says.  No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ui_iot.mail_store import Notice


def subject_of(notices: Sequence[Notice]) -> str:
    if len(notices) == 1:
        return f"Pulse: {notices[0].title}"[:200]
    return f"Pulse: {len(notices)} things to look at"


def text_of(notices: Sequence[Notice], public_url: str, unsubscribe_url: str) -> str:
    parts = [f"{one.title}\n\n{one.body.strip()}\n\n{public_url}{one.path}" for one in notices]
    topics = ", ".join(topics_of(notices))
    rule = "\n\n" + "-" * 60 + "\n\n"
    foot = (
        "You get this because your organisation named you for Pulse's notices, or because you\n"
        f"administer it. No more mails to you about {topics}:\n{unsubscribe_url}\n"
    )
    return rule.join([*parts, foot])


def topics_of(notices: Sequence[Notice]) -> list[str]:
    return sorted({one.topic for one in notices})
