"""A route as a form: what the fields say, and what the fields of a route are."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pulse_common.delivery_events import CATALOGUE
from pulse_common.errors import Malformed
from ui_iot import route_models as models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulse_common.tenancy import Row

EVENT, GROUP = "event.", "group."
_APART = re.compile(r"[\s,;]+")
_WORDS = {
    "name": "give the route a name of at most 100 characters",
    "url": "the address must be a plain http(s) URL",
    "event_types": "choose what is sent",
    "device_ids": "devices are named by their ids, at most 500",
    "group_ids": "choose at most 50 groups",
    "metrics": "metrics have at most 64 characters each",
    "template": "a template has at most 4096 characters",
    "timeout_seconds": "the time-out is from 1 to 30 seconds",
    "concurrency": "from 1 to 16 messages are under way at a time",
}


def blank() -> dict[str, Any]:
    return {
        "name": "",
        "url": "https://",
        "event_types": ["telemetry"],
        "device_ids": [],
        "group_ids": [],
        "metrics": [],
        "template": None,
        "ordered": False,
        "timeout_seconds": 10,
        "concurrency": 4,
    }


def of_row(row: Row) -> dict[str, Any]:
    found = {name: row[name] for name in blank()}
    for name in ("device_ids", "group_ids"):
        found[name] = [str(each) for each in found[name]]
    return found


def of_form(form: Mapping[str, str]) -> dict[str, Any]:
    """Return what the fields say, whether it can be taken or not: a form that is refused is shown again."""
    return {
        "name": form.get("name", "").strip(),
        "url": form.get("url", "").strip(),
        "event_types": [kind for kind in CATALOGUE if EVENT + kind in form],
        "device_ids": _words(form.get("device_ids", "").lower()),
        "group_ids": [name.removeprefix(GROUP) for name in form if name.startswith(GROUP)],
        "metrics": _words(form.get("metrics", "")),
        "template": form.get("template", "").strip() or None,
        "ordered": "ordered" in form,
        "timeout_seconds": _number(form.get("timeout_seconds", "10")),
        "concurrency": _number(form.get("concurrency", "4")),
    }


def read(wanted: dict[str, Any]) -> models.RouteBody:
    """Take what a form said.

    Raises:
        Malformed: one of its fields cannot be taken.
    """
    try:
        return models.RouteBody.model_validate(wanted)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise Malformed(_WORDS.get(name, f"{name} cannot be read")) from None


def read_replay(form: Mapping[str, str]) -> models.ReplayBody:
    """Read which dead letters are meant: times are UTC, as the page says.

    Raises:
        Malformed: one of the times cannot be read.
    """
    try:
        return models.ReplayBody(
            delivery_id=form.get("delivery_id") or None,
            since=_time(form.get("since", "")),
            until=_time(form.get("until", "")),
        )
    except ValueError:
        raise Malformed("times are written like 2026-11-01T00:00") from None


def read_log_query(given: Mapping[str, str]) -> models.DeliveriesQuery:
    """Read the filters of the log; a field that was left empty filters nothing.

    Raises:
        Malformed: one of them cannot be read.
    """
    wanted: dict[str, object] = {name: value for name, value in given.items() if value}
    try:
        for name in ("since", "until"):
            wanted[name] = _time(given.get(name, ""))
        return models.DeliveriesQuery.model_validate(wanted)
    except ValidationError as error:
        raise Malformed(f"{error.errors()[0]['loc'][0]} cannot be read") from None
    except ValueError:
        raise Malformed("times are written like 2026-11-01T00:00") from None


def _time(text: str) -> datetime | None:
    if not text:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _words(text: str) -> list[str]:
    return [word for word in _APART.split(text) if word]


def _number(text: str) -> int:
    """Return the number, or one that every rule refuses."""
    return int(text) if re.fullmatch("[0-9]{1,4}", text) else -1
