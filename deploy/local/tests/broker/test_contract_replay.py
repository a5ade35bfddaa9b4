"""What a real EMQX 5.8.9 did with an answer, the development broker does with the same one: the recordings, replayed.

Answers to authentication go to a broker that runs; of a session's list each recorded act is judged as it was judged
there: allowed or denied by the list, or asked about.  Protocol 5's codes are not looked at: only 3.1.1 is spoken here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pulse_local.broker.acl import Act, Verdict, judge, parse_rules
from pulse_local.broker.authz import allows
from pulse_local.broker.callout import Answer
from pulse_local.broker.testing.fake_authz import CLOSE, Reply
from pulse_local.broker.topics import Delayed, split_delayed, split_shared

if TYPE_CHECKING:
    from pulse_local.broker.testing.rig import Rig

RECORDED = Path(__file__).parents[5] / "shared" / "contracts" / "emqx-5.8.9"
#: Let in there and refused here: nothing of ours may come to depend on it.
STRICTER = {
    "authn answer 200 form result=allow",
    "client_attrs list",
}
_OP = re.compile(r"(publish|subscribe) (\S*)")
_CLIENT = re.compile(r"clientid='([^']*)'")

if not RECORDED.exists():  # pragma: no cover -- depends on the machine
    pytest.skip("the recordings are not beside this repository", allow_module_level=True)


def read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDED / name).read_text().splitlines()]


OBSERVED = [one for one in read("observations.jsonl") if one["section"] == "b"]


def answers() -> dict[str, Reply]:
    """Every distinct answer to an authentication request, by what its recording is called."""
    found = {}
    for file in ("b_acl_in_authn_response.jsonl", "d_authn_failures.jsonl"):
        for row in read(file):
            if row["path"] != "/mqtt/auth":
                continue
            label = row["comment"].removeprefix("CONNECT ").removesuffix(" (MQTT v4)")
            found[label] = as_reply(row["answer"])
    # A recording keeps the first 400 characters of a long answer; the observation has all of it.
    whole = {one["connect"]: Reply(one["resp"]) for one in OBSERVED if one.get("resp")}
    return found | whole


def as_reply(answer: Any) -> Reply:  # noqa: ANN401 -- as recorded
    if not isinstance(answer, dict):
        return Reply(status=CLOSE)
    content_type = answer["headers"].get("content-type", "")
    return Reply(answer["body"] or "", answer["status"], content_type)


def connects() -> list[tuple[str, bool]]:
    """Each recorded CONNECT that has an outcome, and whether it was let in."""
    by_list = [
        (one["connect"], one["connack"]["code"] == 0) for one in OBSERVED if "connect" in one
    ]
    failures = [one for one in read("observations.jsonl") if one["section"] == "d" and "out" in one]
    by_answer = [(one["label"], one["out"][0][1][0] == 0) for one in failures]
    return [(label, let_in) for label, let_in in [*by_list, *by_answer] if label in answers()]


def acts() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each recorded act, after the answer that its session began with."""
    found, session = [], {}
    for row in OBSERVED:
        if "connect" in row:
            session = row
        elif isinstance(session["resp"], dict) and not session["resp"].get("is_superuser"):
            found.append((f"{session['connect'][:40]}: {row['op']}", session, row))
    return found


def inner(action: str, topic: str) -> str:
    """Take prefixes off as the broker's dialogue does before it judges."""
    found = split_delayed(topic) if action == "publish" else split_shared(topic)
    assert found is not None
    return found.topic if isinstance(found, Delayed) else found.filter


def test_recordings_are_all_there() -> None:
    assert len(connects()) >= 40
    assert len(acts()) >= 45


@pytest.mark.parametrize(("label", "let_in"), connects(), ids=[one[0] for one in connects()])
def test_answer_lets_in_whom_emqx_let_in(rig: Rig, label: str, *, let_in: bool) -> None:
    if label.startswith("answer after"):
        pytest.skip("by its own time-out")
    rig.authz.authentication = answers()[label]

    code = rig.peer("dev-1").connect()

    assert (code == 0) == (let_in and label not in STRICTER)


@pytest.mark.parametrize(("session", "row"), [a[1:] for a in acts()], ids=[a[0] for a in acts()])
def test_list_judges_each_act_as_emqx_did(session: dict[str, Any], row: dict[str, Any]) -> None:
    named = _CLIENT.search(session["connect"])
    names = {
        "clientid": named[1] if named else "dev-1",
        "username": "dev-1",
        "zone": "z_both",
        "cert_common_name": "dev-1",
        "client_attrs.tenant": "t1",
    }
    done = _OP.match(row["op"])
    assert done is not None
    qos = re.search(r"qos(\d)", row["op"].partition(done[2])[2])
    act = Act(
        action=done[1],
        topic=inner(done[1], done[2]),
        qos=int(qos[1]) if qos else 1,
        retain=row["op"].endswith(" retain"),
    )

    verdict = judge(parse_rules(session["resp"].get("acl", []), names), act)

    asked = bool(row["authz_http"])
    assert (verdict is Verdict.NO_MATCH) == asked
    if not asked:
        went_through = row["result"] in {"sent", "PUBACK 0x00", "PUBACK 0x10", "['0x01']"}
        assert (verdict is Verdict.ALLOW) == (went_through and "secret" not in act.topic)


def test_authorization_answers_count_as_they_did() -> None:
    replies = {
        "200 allow": (200, "application/json", '{"result":"allow"}'),
        "200 deny": (200, "application/json", '{"result":"deny"}'),
        "200 ignore": (200, "application/json", '{"result":"ignore"}'),
        "200 {}": (200, "application/json", "{}"),
        "204": (204, "", ""),
        "200 text/plain allow": (200, "text/plain", '{"result":"allow"}'),
        "200 without content-type, JSON body": (200, "", '{"result":"allow"}'),
        "200 empty body json": (200, "application/json", ""),
        "403 with result allow in body": (403, "application/json", '{"result":"allow"}'),
        **{
            str(code): (code, "application/json", "{}")
            for code in (400, 401, 403, 404, 429, 500, 503)
        },
    }
    observed = {
        one["label"]: one["out"][0][2] == ["0x01"]
        for one in read("observations.jsonl")
        if one["section"] == "e"
    }

    mine = {
        label: allows(Answer(status=status, content_type=kind, body=body.encode()))
        for label, (status, kind, body) in replies.items()
    }

    assert mine == {label: observed[label] for label in mine}
    assert set(observed) - set(mine) == {"connection closed", "timeout (5 s > request_timeout 3 s)"}
    assert not allows(None)  # what those two come to
