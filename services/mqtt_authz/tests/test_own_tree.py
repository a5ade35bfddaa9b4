"""No sequence of names, wildcards or encodings takes a device out of its own tree: from a CONNECT's bytes to each act.

The session is played as EMQX plays it (the contract: the list first, the gate for what no rule matches), and what may
be touched is judged by a matcher written here from MQTT 5 section 4.7, not by the code under test.
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx2
from hypothesis import given, settings
from hypothesis import strategies as st
from services.mqtt_authz.tests.conftest import SECRET, Names, build_gate, issue

from mqtt_authz.domain import Standing
from mqtt_authz.handlers import Gate
from mqtt_authz.standings import Standings
from mqtt_authz.token_door import TokenDoor
from mqtt_authz.tokens import PREFIX, TokenStanding
from pulse_common.clock import system_clock
from pulse_common.identity import TenantId
from pulse_local.broker.acl import Act, Verdict, judge, parse_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mqtt_authz.denials import Denial

TENANT = TenantId(UUID("11111111-1111-4111-8111-1111111111ab"))
DEVICE = UUID("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
NEIGHBOUR = UUID("bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb")
OTHER = UUID("22222222-2222-4222-8222-222222222222")
TREE = f"tenant/{TENANT}/device/{DEVICE}/"
LEAVES = ("telemetry", "state", "command", "command/ack", "cert/renew", "cert/issued", "limits")
FOREIGN = [
    f"tenant/{tenant}/device/{device}/{leaf}"
    for tenant, device in ((TENANT, NEIGHBOUR), (OTHER, DEVICE), (OTHER, NEIGHBOUR))
    for leaf in LEAVES
] + ["$SYS/brokers", "tenant", "x", "/", f"tenant/{TENANT}", TREE + "unknown", TREE, TREE[:-1]]
CERTIFICATE = base64.b64encode(issue(Names(tenant=TENANT, device=DEVICE))).decode()
TOKEN = PREFIX + "A" * 43
GOOD = Standing(
    tenant=TENANT,
    device=DEVICE,
    issuer=uuid4(),
    certificate_valid=True,
    issuer_active=True,
    device_active=True,
    tenant_active=True,
)


def matches(wanted: str, topic: str) -> bool:
    """MQTT 5, 4.7: whether a message on ``topic`` reaches the filter."""
    if topic.startswith("$") and wanted[:1] in {"+", "#"}:
        return False
    levels, names = wanted.split("/"), topic.split("/")
    for place, level in enumerate(levels):
        if level == "#":
            return True
        if place == len(names) or level not in {"+", names[place]}:
            return False
    return len(levels) == len(names)


class Unkept:
    def note(self, denial: Denial) -> None: ...


def gate() -> Gate:
    async def load(fingerprints: Sequence[bytes]) -> dict[bytes, Standing]:
        return dict.fromkeys(fingerprints, GOOD)

    async def find(_: bytes) -> TokenStanding:
        return TokenStanding(
            tenant=TENANT,
            device=DEVICE,
            token=uuid4(),
            expires_at=system_clock().replace(year=system_clock().year + 1, day=1),
            revoked=False,
            tokens_allowed=True,
            device_active=True,
            tenant_active=True,
            in_plan=True,
        )

    unkept: Any = Unkept()  # refusals are another test's
    return Gate(
        standings=Standings(load=load, hearing=lambda: None),
        token_door=TokenDoor(find=find, denials=unkept, clock=system_clock),
        denials=unkept,
        admin_password=b"p" * 32,
        clock=system_clock,
    )


@dataclass
class Session:
    """One session as the broker keeps it; names are what the client sent, attributes what our answer said."""

    http: httpx2.AsyncClient
    names: dict[str, str]
    answer: dict[str, Any]

    async def may(self, action: str, topic: str, encode: str, *, retain: bool) -> bool:
        attributes = self.answer["client_attrs"]
        expanded = {**self.names, **{f"client_attrs.{k}": v for k, v in attributes.items()}}
        act = Act(action=action, topic=topic, qos=1, retain=retain)
        verdict = judge(parse_rules(self.answer["acl"], expanded), act)
        if verdict is not Verdict.NO_MATCH:
            return verdict is Verdict.ALLOW
        body = {
            **self.names,
            "tenant": attributes["tenant"],
            "action": action,
            "topic": topic,
            "qos": "1",
            "retain": str(retain).lower(),
        }
        return bool((await ask(self.http, "mqtt-acl", body, encode))["result"] == "allow")


async def ask(
    http: httpx2.AsyncClient, question: str, body: dict[str, str], encode: str
) -> dict[str, Any]:
    """Send it as JSON in one of the ways that say the same."""
    text = json.dumps(body, ensure_ascii=encode == "escaped")
    if encode == "letters escaped":
        text = text.replace("/", "\\/").replace("e", "\\u0065") if "\\" not in text else text
    answer = await http.post(
        f"/api/v1/internal/{question}",
        content=text.encode("utf-8", "surrogatepass"),
        headers={"authorization": f"Bearer {SECRET}"},
    )
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


words = st.one_of(
    st.sampled_from(
        [
            *(str(TENANT), str(OTHER), str(DEVICE), str(NEIGHBOUR), str(DEVICE).upper()),
            *("tenant", "device", *LEAVES, "+", "#", "", "..", "%2f", "%2B", "\x00", "\u202e"),
            *("${clientid}", "${username}", "$share", "$queue", "$exclusive", "$SYS", "$delayed"),
            *("\uff0f", "\uff0b", "\uff03", "\ud800", "\ufeff", "eq x", "\\", "a" * 300),
        ]
    ),
    st.text(max_size=4),
)
paths = st.lists(words, min_size=1, max_size=8).map("/".join)
topics = st.one_of(
    paths,
    paths.map(lambda rest: TREE + rest),
    st.sampled_from([TREE + leaf for leaf in LEAVES] + FOREIGN),
    st.tuples(st.sampled_from(["$share/g/", "$queue/", "$exclusive/", "$delayed/5/"]), paths).map(
        "".join
    ),
    st.tuples(st.sampled_from(FOREIGN), st.integers(0, 60), words).map(
        lambda made: made[0][: made[1]] + made[2] + made[0][made[1] :]
    ),
)
own_names = st.sampled_from([str(DEVICE), "", f"{TENANT}/{DEVICE}"])
names = st.fixed_dictionaries(
    {"clientid": st.one_of(own_names, words), "username": st.one_of(own_names, words)}
)
credentials = st.sampled_from(
    [
        {"zone": "device", "cert_pem": CERTIFICATE, "password": ""},
        {"zone": "device_token", "cert_pem": "", "password": TOKEN},
    ]
)
acts = st.lists(
    st.tuples(st.sampled_from(["publish", "subscribe"]), topics, st.booleans()), max_size=6
)
encodings = st.sampled_from(["plain", "escaped", "letters escaped"])


@settings(max_examples=400, deadline=None)
@given(names=names, credential=credentials, acts=acts, encode=encodings)
def test_nothing_that_a_session_does_touches_what_is_not_its_own(
    names: dict[str, str],
    credential: dict[str, str],
    acts: list[tuple[str, str, bool]],
    encode: str,
) -> None:
    asyncio.run(_play(names, credential, acts, encode))


@settings(max_examples=200, deadline=None)
@given(credential=credentials, acts=acts, encode=encodings)
def test_nor_of_a_session_under_right_names(
    credential: dict[str, str], acts: list[tuple[str, str, bool]], encode: str
) -> None:
    username = f"{TENANT}/{DEVICE}" if credential["password"] else str(DEVICE)
    right = {"clientid": str(DEVICE), "username": username}

    assert asyncio.run(_play(right, credential, acts, encode))


async def _play(
    names: dict[str, str],
    credential: dict[str, str],
    acts: list[tuple[str, str, bool]],
    encode: str,
) -> bool:
    """Connect and act; returns whether the session was let in at all."""
    transport = httpx2.ASGITransport(build_gate(gate()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://gate") as http:
        answer = await ask(http, "mqtt-auth", {**names, **credential}, encode)
        if answer["result"] != "allow":
            return False
        session = Session(http, names, answer)
        for action, topic, retain in acts:
            if not await session.may(action, topic, encode, retain=retain):
                continue
            if action == "publish":
                assert topic in {TREE + leaf for leaf in LEAVES}
            else:
                _check_filter(topic)
    return True


def _check_filter(wanted: str) -> None:
    """A prefix changes how messages are shared, not which."""
    for prefix in ("$queue/", "$exclusive/"):
        wanted = wanted.removeprefix(prefix)
    if wanted.startswith("$share/"):
        wanted = wanted.split("/", 2)[2]
    assert [topic for topic in FOREIGN if matches(wanted, topic)] == []
    assert any(matches(wanted, TREE + leaf) for leaf in LEAVES)
