"""What the form of an alert rule holds, and the rule that it asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pulse_common.errors import Malformed
from pulse_common.events_alerts import RuleWanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulse_common.tenancy import Row

FIELDS = ("name", "kind", "metric", "direction", "raise_at", "clear_at", "hold", "silent", "scope")
BLANK: Mapping[str, Any] = {
    "name": "",
    "kind": "threshold",
    "metric": "",
    "direction": "above",
    "raise_at": "",
    "clear_at": "",
    "hold": "0",
    "silent": "15",
    "scope": "all",
    "by_mail": True,
    "enabled": True,
}
_MINUTE = 60
LARGEST = 1e308
_LONGEST_NUMBER = 30


def of_form(form: Mapping[str, str]) -> dict[str, Any]:
    """Return what was filled in, to be shown again when it is refused."""
    filled = {name: form.get(name, "").strip() for name in FIELDS}
    return {**filled, "by_mail": "by_mail" in form, "enabled": "enabled" in form}


def of_rule(row: Row) -> dict[str, Any]:
    """Return a rule as its form holds it; more than one device or group is kept as it is."""
    return {
        "name": row["name"],
        "kind": row["kind"],
        "metric": row["metric"] or "",
        "direction": row["direction"] or "above",
        "raise_at": _text(row["raise_at"]),
        "clear_at": _text(row["clear_at"]),
        "hold": str(row["hold_seconds"]),
        "silent": f"{(row['silent_seconds'] or 15 * _MINUTE) / _MINUTE:g}",
        "scope": _scope(row),
        "by_mail": row["by_mail"],
        "enabled": row["enabled"],
    }


def read(wanted: Mapping[str, Any], before: Row | None) -> RuleWanted:
    """Return what the form asks for.

    Raises:
        Malformed: something is no number, or no choice of the form's.
    """
    of_metric = wanted["kind"] != "absence"
    given: dict[str, Any] = {
        "name": wanted["name"],
        "kind": wanted["kind"],
        "by_mail": wanted["by_mail"],
        "enabled": wanted["enabled"],
        **_devices(wanted["scope"], before),
    }
    if of_metric:
        given["metric"] = wanted["metric"] or None
        given["direction"] = wanted["direction"]
        given["raise_at"] = _number(wanted["raise_at"], "the threshold")
        given["clear_at"] = _number(wanted["clear_at"], "where it clears")
        given["hold_seconds"] = int(_number(wanted["hold"], "how long it holds") or 0)
    else:
        minutes = _number(wanted["silent"], "how long nothing is heard")
        given["silent_seconds"] = None if minutes is None else int(minutes * _MINUTE)
    try:
        return RuleWanted.model_validate(given)
    except ValidationError:
        raise Malformed("choose what the form offers") from None


def _devices(scope: str, before: Row | None) -> dict[str, Any]:
    kind, _, chosen = scope.partition(":")
    if scope == "as_it_is" and before is not None:
        return {"device_ids": before["device_ids"], "group_ids": before["group_ids"]}
    if kind == "group":
        return {"group_ids": [chosen]}
    if kind == "device":
        return {"device_ids": [chosen]}
    if scope != "all":
        raise Malformed("choose which devices the rule is about")
    return {}


def _scope(row: Row) -> str:
    devices, groups = row["device_ids"], row["group_ids"]
    if not devices and not groups:
        return "all"
    if len(groups) == 1 and not devices:
        return f"group:{groups[0]}"
    if len(devices) == 1 and not groups:
        return f"device:{devices[0]}"
    return "as_it_is"


def _number(text: str, what: str) -> float | None:
    if not text:
        return None
    try:
        found = float(text[:_LONGEST_NUMBER])
    except ValueError:
        raise Malformed(f"{what} must be a number") from None
    if not abs(found) <= LARGEST:  # NaN is not either
        raise Malformed(f"{what} must be a number")
    return found


def _text(number: float | None) -> str:
    return "" if number is None else repr(number).removesuffix(".0")
