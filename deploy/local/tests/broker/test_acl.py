"""The rules of an authentication answer mean what they mean to EMQX."""

from __future__ import annotations

import pytest

from pulse_local.broker.acl import Act, BadRule, Verdict, judge, parse_rules

NAMES = {"clientid": "dev-1", "username": "u", "client_attrs.tenant": "t1"}


def verdict(
    rules: list[object], action: str, topic: str, qos: int = 1, *, retain: bool = False
) -> Verdict:
    act = Act(action=action, topic=topic, qos=qos, retain=retain)
    return judge(parse_rules(rules, NAMES), act)


def rule(permission: str = "allow", action: str = "all", **more: object) -> dict[str, object]:
    return {"permission": permission, "action": action} | more


def test_the_first_match_wins() -> None:
    rules: list[object] = [rule("deny", topic="secret/#"), rule(topic="#")]

    assert verdict(rules, "publish", "secret/x") is Verdict.DENY
    assert verdict(rules, "publish", "open/x") is Verdict.ALLOW


def test_what_no_rule_matches_is_left_open() -> None:
    assert verdict([rule(topic="a")], "publish", "b") is Verdict.NO_MATCH
    assert verdict([], "publish", "b") is Verdict.NO_MATCH


def test_a_rule_is_for_its_action_only() -> None:
    rules: list[object] = [rule(action="publish", topic="up"), rule(action="sub", topic="down")]

    assert verdict(rules, "subscribe", "up") is Verdict.NO_MATCH
    assert verdict(rules, "subscribe", "down") is Verdict.ALLOW


def test_a_rule_may_name_several_topics() -> None:
    rules: list[object] = [rule(topics=["multi/a", "multi/b/#"])]

    assert verdict(rules, "publish", "multi/b/c") is Verdict.ALLOW


def test_eq_is_literal() -> None:
    rules: list[object] = [rule(topic="eq lit/+/x")]

    assert verdict(rules, "subscribe", "lit/+/x") is Verdict.ALLOW
    assert verdict(rules, "subscribe", "lit/a/x") is Verdict.NO_MATCH


@pytest.mark.parametrize("qos", [[1, 2], "1,2", ["1", "2"]])
def test_qos_limits_a_rule(qos: object) -> None:
    rules: list[object] = [rule(topic="a", qos=qos)]

    assert verdict(rules, "publish", "a", 1) is Verdict.ALLOW
    assert verdict(rules, "publish", "a", 0) is Verdict.NO_MATCH
    assert verdict(rules, "subscribe", "a", 0) is Verdict.NO_MATCH


@pytest.mark.parametrize("retain", [True, "true"])
def test_retain_limits_a_rule_for_publishing(retain: object) -> None:
    rules: list[object] = [rule(topic="a", retain=retain)]

    assert verdict(rules, "publish", "a", retain=True) is Verdict.ALLOW
    assert verdict(rules, "publish", "a", retain=False) is Verdict.NO_MATCH
    assert verdict(rules, "subscribe", "a") is Verdict.ALLOW


def test_names_are_put_into_topics_as_given() -> None:
    rules: list[object] = [rule(topic="t/${client_attrs.tenant}/${clientid}/up")]

    assert verdict(rules, "publish", "t/t1/dev-1/up") is Verdict.ALLOW


def test_a_missing_attribute_and_an_unknown_name_match_nothing_else() -> None:
    rules: list[object] = [rule(topic="at/${client_attrs.missing}"), rule(topic="ph/${peerhost}")]

    assert verdict(rules, "publish", "at/") is Verdict.NO_MATCH
    assert verdict(rules, "publish", "at/${client_attrs.missing}") is Verdict.NO_MATCH
    assert verdict(rules, "publish", "ph/127.0.0.1") is Verdict.NO_MATCH
    assert verdict(rules, "publish", "ph/${peerhost}") is Verdict.ALLOW


@pytest.mark.parametrize(
    "bad",
    [
        None, "x", {"pub": ["a"]}, ["x"], [rule("Allow", topic="#")],
        [rule(action="write", topic="a")], [{"permission": [], "action": "all", "topic": "a"}],
        [{"permission": "allow", "action": [], "topic": "a"}],
        [rule()], [{"permission": "allow", "topic": "a"}], [rule(topic=5)], [rule(topics="a")],
        [rule(topic="a", qos=3)], [rule(topic="a", qos=[3])], [rule(topic="a", qos=None)],
        [rule(topic="a", qos=[])], [rule(topic="a", retain="maybe")], [rule(topic="a", retain=[])],
    ],
)  # fmt: skip
def test_a_bad_rule_refuses_the_whole_list(bad: object) -> None:
    with pytest.raises(BadRule):
        parse_rules(bad, NAMES)
