"""Client addresses: a stranger never chooses the address that the audit log and the rate limits see."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from pulse_common.client_address import (
    LONGEST_USER_AGENT,
    address_behind,
    client_address,
    parse_networks,
    user_agent,
)
from pulse_common.settings import Networks, ServiceSettings, SettingsError, load

PROXY = "10.0.0.2"
TRUSTED = parse_networks("10.0.0.0/24, 2001:db8:1::/64")
GOOD = {
    "PULSE_ENV": "development",
    "HTTP_PORT": "8080",
    "DATABASE_URL": "postgresql://svc_x:password@localhost/pulse",
    "NATS_URL": "nats://localhost:4222",
    "NATS_USER": "svc_x",
    "NATS_PASSWORD": "long-enough-password",
}

strangers = st.ip_addresses().filter(
    lambda a: not any(a in n for n in TRUSTED) and not getattr(a, "ipv4_mapped", None)
)
anything = st.text(st.characters(codec="latin-1", exclude_characters=","), max_size=40)


class Settings(ServiceSettings):
    trusted_proxies: Networks = ()


@given(peer=strangers, lines=st.lists(anything, max_size=4))
def test_strangers_header_is_never_read(peer: IPv6Address, lines: list[str]) -> None:
    assert address_behind(str(peer), lines, TRUSTED) == str(peer)


@given(spoofed=st.lists(anything, max_size=5), client=strangers)
def test_nothing_left_of_the_proxys_own_word_counts(
    spoofed: list[str], client: IPv6Address
) -> None:
    one_line = [",".join([*spoofed, str(client)])]
    many_lines = [*spoofed, str(client)]

    assert address_behind(PROXY, one_line, TRUSTED) == str(client)
    assert address_behind(PROXY, many_lines, TRUSTED) == str(client)


@given(lines=st.lists(anything, max_size=4))
def test_answer_is_an_address_whatever_the_header_holds(lines: list[str]) -> None:
    answer = address_behind(PROXY, lines, TRUSTED)

    assert answer is not None
    assert str(ip_address(answer)) == answer


@given(text=st.text(max_size=40))
def test_networks_are_read_or_refused(text: str) -> None:
    try:
        networks = parse_networks(text)
    except ValueError:
        return
    assert all(network.prefixlen > 0 for network in networks)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("203.0.113.9,10.0.0.7 ,2001:db8:1::5", "203.0.113.9"),
        ("203.0.113.9, ::ffff:10.0.0.7", "203.0.113.9"),
        ("junk, 203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:DB8:0:0::9", "2001:db8::9"),
        ("fe80::1%eth0", "fe80::1"),
        # Nothing to believe: the peer itself.
        ("", PROXY),
        ("10.0.0.7", PROXY),
        ("203.0.113.9, junk", PROXY),
        ("203.0.113.9,", PROXY),
        ("203.0.113.9:1234", PROXY),
        ("[2001:db8::9]", PROXY),
        ("203.0.113.009", PROXY),
        ("203.0.113", PROXY),
        ("0xcb.0.113.9", PROXY),
        ("unknown", PROXY),
        ("203.0.113.9\x00", PROXY),
        ("\u0662\u0660\u0663.0.113.9", PROXY),
    ],
)
def test_right_most_stranger_is_the_client(header: str, expected: str) -> None:
    assert address_behind(PROXY, [header], TRUSTED) == expected


def test_peer_of_a_dual_stack_socket_is_known_by_its_ipv4_address() -> None:
    assert address_behind("::ffff:10.0.0.2", ["203.0.113.9"], TRUSTED) == "203.0.113.9"
    assert address_behind("::ffff:203.0.113.9", ["1.1.1.1"], TRUSTED) == "203.0.113.9"
    mapped = parse_networks("::ffff:10.0.0.0/120")
    assert address_behind("10.0.0.2", ["203.0.113.9"], mapped) == "203.0.113.9"


def test_by_default_nobody_is_trusted() -> None:
    assert load(Settings, GOOD).trusted_proxies == ()
    assert address_behind("127.0.0.1", ["203.0.113.9"], ()) == "127.0.0.1"


def test_setting_takes_networks_and_addresses_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.2, 2001:db8:1::/64")

    assert [str(n) for n in load(Settings, GOOD).trusted_proxies] == [
        "10.0.0.2/32",
        "2001:db8:1::/64",
    ]


@pytest.mark.parametrize("wrong", ["0.0.0.0/0", "::/0", "10.0.0.1/24", "caddy", "10.0.0.0/33"])
def test_setting_that_trusts_everybody_or_nobody_knows_whom_is_refused(wrong: str) -> None:
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES"):
        load(Settings, {**GOOD, "TRUSTED_PROXIES": wrong})


def test_connection_gives_its_peer_and_every_header_line() -> None:
    scope = {
        "type": "websocket",
        "client": (PROXY, 4711),
        "headers": [(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"203.0.113.9")],
    }

    assert client_address(HTTPConnection(scope), TRUSTED) == "203.0.113.9"
    assert client_address(HTTPConnection({**scope, "client": None}), TRUSTED) is None


@given(said=anything)
def test_user_agent_is_one_short_line_that_a_database_takes(said: str) -> None:
    header = (b"user-agent", (said * 20).encode("latin-1"))

    kept = user_agent(HTTPConnection({"type": "http", "headers": [header]}))

    assert kept is None or (kept.isprintable() and 0 < len(kept) <= LONGEST_USER_AGENT)


def test_client_that_says_nothing_of_itself_has_no_user_agent() -> None:
    assert user_agent(HTTPConnection({"type": "http", "headers": []})) is None
