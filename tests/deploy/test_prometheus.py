"""The alert rules: well formed, about metrics that the code has, with pages that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tests.parts import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yaml"))
DURATION = r"^(\d+(ms|[smhdwy]))+$"
DECLARED = re.compile(r'\b(Counter|Gauge|Histogram|Summary)\(\s*"(pulse_\w+)"')
USED = re.compile(r"\bpulse_\w+")
LABELS = re.compile(r'\{[^{}]*\}|"[^"]*"')
PAIRS = {")": "(", "]": "[", "}": "{"}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Labels(Strict):
    severity: Literal["page", "ticket"]


class Annotations(Strict):
    summary: str = Field(min_length=20)
    runbook: str = Field(pattern=r"^docs/operations/[a-z-]+\.md$")


class Alert(Strict):
    alert: str = Field(pattern=r"^Pulse[A-Za-z]+$")
    expr: str = Field(min_length=1)
    for_: str = Field(default="0s", alias="for", pattern=DURATION)
    labels: Labels
    annotations: Annotations


class Group(Strict):
    name: str
    interval: str = Field(default="1m", pattern=DURATION)
    rules: tuple[Alert, ...] = Field(min_length=1)


class RuleFile(Strict):
    groups: tuple[Group, ...] = Field(min_length=1)


def alerts() -> list[Alert]:
    files = [RuleFile.model_validate(yaml.safe_load(path.read_text())) for path in RULES]
    return [rule for file in files for group in file.groups for rule in group.rules]


def declared_metrics() -> set[str]:
    sources = [*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("libs/*/src/**/*.py")]
    found: set[str] = set()
    for path in sources:
        for kind, name in DECLARED.findall(path.read_text()):
            found |= {name}
            if kind == "Histogram":
                found |= {f"{name}_{suffix}" for suffix in ("bucket", "count", "sum")}
    return found


def unknown(expr: str, known: Iterable[str]) -> set[str]:
    return set(USED.findall(LABELS.sub("", expr))) - set(known)


def is_balanced(expr: str) -> bool:
    opened: list[str] = []
    for character in re.sub(r'"[^"]*"', "", expr):
        if character in PAIRS.values():
            opened.append(character)
        elif character in PAIRS and (not opened or opened.pop() != PAIRS[character]):
            return False
    return not opened


def test_every_rule_is_well_formed_and_named_once() -> None:
    names = [alert.alert for alert in alerts()]

    assert len(names) == len(set(names)) > 0
    assert [alert.alert for alert in alerts() if not is_balanced(alert.expr)] == []


def test_every_metric_in_a_rule_exists_in_the_code() -> None:
    known = declared_metrics()

    assert {
        alert.alert: unknown(alert.expr, known) for alert in alerts() if unknown(alert.expr, known)
    } == {}
    assert [alert.alert for alert in alerts() if not USED.search(alert.expr)] == []


def test_every_runbook_exists() -> None:
    assert [
        alert.alert for alert in alerts() if not (ROOT / alert.annotations.runbook).is_file()
    ] == []


def test_what_tells_of_isolation_wakes_somebody_at_once() -> None:
    pages = {
        alert.alert for alert in alerts() if alert.labels.severity == "page" and alert.for_ == "0s"
    }

    assert {"PulseCanaryBreach", "PulseIsolationViolated", "PulseAuditEventsDropped"} <= pages


@pytest.mark.parametrize(
    "broken",
    [
        {"alert": "PulseX", "expr": "up", "labels": {"severity": "shout"}},
        {"alert": "PulseX", "expr": "up", "for": "soon", "labels": {"severity": "page"}},
        {"record": "x", "expr": "up"},
    ],
)
def test_form_is_demanded(broken: dict[str, object]) -> None:
    about = {"summary": "Something that is long enough.", "runbook": "docs/operations/audit.md"}

    with pytest.raises(ValidationError):
        Alert.model_validate({"annotations": about, **broken})


def test_metric_that_nobody_has_is_named() -> None:
    assert unknown('rate(pulse_no_such_total{what="pulse_label"}[5m]) > 0', declared_metrics()) == {
        "pulse_no_such_total"
    }
    assert not is_balanced("sum(rate(x[5m])")
