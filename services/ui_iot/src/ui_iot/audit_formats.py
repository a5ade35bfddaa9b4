"""Audit rows for others' tools: CSV, JSON lines, and OCSF 1.3 events (one a line)."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pulse_common.audit_rows import FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ui_iot.audit_store import AuditRow

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "ocsf": "application/x-ndjson",
    "sealed": "application/x-ndjson",
}
_JSON = ("before", "after", "details")
# What spreadsheets take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_AUTHENTICATION, _ACCOUNT_CHANGE, _API_ACTIVITY = 3002, 3001, 6003
_OTHER = 99
_CLASSES = {
    "session": _AUTHENTICATION,
    "credentials": _AUTHENTICATION,
    "user": _ACCOUNT_CHANGE,
}
_ACTIVITIES: Mapping[int, Mapping[str, int]] = {
    _AUTHENTICATION: {"begin": 1, "step_up": 1, "refuse": 1, "end": 2},
    _ACCOUNT_CHANGE: {"create": 1, "invite": 1, "enable": 2, "disable": 5, "delete": 6},
    _API_ACTIVITY: {
        **dict.fromkeys(("create", "mint", "issue", "enrol"), 1),
        **dict.fromkeys(("read", "view", "search", "export"), 2),
        **dict.fromkeys(("rename", "change", "suspend", "resume", "disable", "renew"), 3),
        **dict.fromkeys(("delete", "revoke", "expire"), 4),
    },
}
_USER_TYPES = {"user": 1, "operator": 2, "service": 3, "device": 3, "anonymous": 0}


def header(form: str) -> str:
    return _csv_line(FIELDS) if form == "csv" else ""


def line(form: str, row: AuditRow) -> str:
    """Write one row, with its newline."""
    return _LINES[form](row)


def shown(row: AuditRow) -> dict[str, Any]:
    """Return the row with its JSON columns as JSON."""
    return {
        name: json.loads(value) if name in _JSON and value is not None else value
        for name, value in row.items()
    }


def _csv_line(values: tuple[str | None, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(_harmless(value or "") for value in values)
    return out.getvalue()


def _harmless(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def _as_csv(row: AuditRow) -> str:
    return _csv_line(tuple(row[name] for name in FIELDS))


def _as_json(row: AuditRow) -> str:
    return json.dumps(shown(row), ensure_ascii=False) + "\n"


def _as_ocsf(row: AuditRow) -> str:
    return json.dumps(ocsf(row), ensure_ascii=False) + "\n"


def ocsf(row: AuditRow) -> dict[str, Any]:
    """Map a row to an event class of OCSF 1.3: authentication, account change, or API activity."""
    noun, _, verb = (row["action"] or "").partition(".")
    class_uid = _CLASSES.get(noun, _API_ACTIVITY)
    activity_id = _ACTIVITIES[class_uid].get(verb, _OTHER)
    user = {"uid": row["actor_id"], "type_id": _USER_TYPES.get(row["actor_kind"] or "", _OTHER)}
    event: dict[str, Any] = {
        "category_uid": class_uid // 1000,
        "class_uid": class_uid,
        "activity_id": activity_id,
        "type_uid": class_uid * 100 + activity_id,
        "time": int(datetime.fromisoformat(row["at"] or "").timestamp() * 1000),
        "severity_id": 1 if row["outcome"] == "success" else 2,
        "status_id": 1 if row["outcome"] == "success" else 2,
        "status_detail": row["reason"],
        "metadata": {
            "version": "1.3.0",
            "uid": row["audit_id"],
            "tenant_uid": row["tenant_id"],
            "product": {
                "name": "Pulse",
                "vendor_name": "Pulse",
                "feature": {"name": row["service"]},
            },
        },
        "actor": {"user": user},
        "src_endpoint": {"ip": row["address"]} if row["address"] else {"name": row["service"]},
        "http_request": {"user_agent": row["user_agent"], "uid": row["request_id"]},
        "unmapped": {name: shown(row)[name] for name in _JSON},
    }
    if class_uid == _API_ACTIVITY:
        event["api"] = {"operation": row["action"], "service": {"name": row["service"]}}
        event["resources"] = [{"type": row["object_kind"], "uid": row["object_id"]}]
    else:
        subject = row["object_id"] if class_uid == _ACCOUNT_CHANGE else row["actor_id"]
        event["user"] = {"uid": subject}
    return event


_LINES: Mapping[str, Callable[[AuditRow], str]] = {
    "csv": _as_csv,
    "jsonl": _as_json,
    "ocsf": _as_ocsf,
}
