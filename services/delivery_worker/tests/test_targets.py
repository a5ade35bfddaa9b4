"""URLs are read in one way or refused: every odd form of a host is turned away before anybody resolves it."""

# ruff: noqa: RUF001 -- full-width digits are what is tested
from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_worker.addresses import is_callable
from delivery_worker.targets import Rules, TargetRefused, read_target

PUBLIC = Rules()


@pytest.mark.parametrize(
    "url",
    [
        *("https://0x7f.1/", "https://2130706433/", "https://017700000001/", "https://127.1/"),
        *(
            "https://0177.0.0.1/",
            "https://0x7f000001/",
            "https://127.0.0.1/",
            "https://127.0.0.1./",
        ),
        *("https://1.2.3/", "https://a.0x1/", "https://example.com.127/", "https://0x/"),
        *("https://１２７.0.0.1/", "https://127。0。0。1/", "https://①②⑦.0.0.1/"),
        *(
            "https://localhost/",
            "https://localhost./",
            "https://example.com./",
            "https://metadata/",
        ),
        *(
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[fe80::1%25eth0]/",
            "https://[::]/",
        ),
        *("https://[64:ff9b::7f00:1]/", "https://[::1/", "https://::1/", "https://[1.2.3.4]/"),
        *("https://a.example@127.0.0.1/", "https://a.example:b@c.example/", "https://@c.example/"),
        *(
            "https://a.example#@b.example/",
            "https://a.example\\@b.example/",
            "https://a.example\t/",
        ),
        *(
            "https://a.example:22/",
            "https://a.example:/",
            "https://a.example:0/",
            "https://a.example:99999/",
        ),
        *(
            "https://a.example:４４３/",
            "https://a.example:+443/",
            "https://a%2eexample/",
            "https://a..example/",
        ),
        *(
            "http://a.example/",
            "ftp://a.example/",
            "file:///etc/passwd",
            "gopher://a.example/",
            "//a.example/",
        ),
        *(
            "HTTPS://a.example/",
            "https:a.example",
            "https:///a.example",
            "https://",
            "https:// a.example/",
            "",
        ),
        *(
            "https://a.example/\r\nHost: b",
            "https://-a.example/",
            "https://" + "a" * 64 + ".example/",
        ),
        "https://a.example/" + "a" * 2000,
        # Numbers in every base, addresses that are cut short, run over, or are written in percents.
        *(
            "https://0x7f.0.0.1/",
            "https://0x7f.0x0.0x0.0x1/",
            "https://127.0.1/",
            "https://127.1./",
        ),
        *(
            "https://0177.1/",
            "https://0/",
            "https://0.0.0.0/",
            "https://00.0.0.0/",
            "https://256.1.1.1/",
        ),
        *(
            "https://4294967297/",
            "https://127.0.0.1.1/",
            "https://127.0.0.0x1/",
            "https://0127.0.0.1/",
        ),
        *(
            "https://127%2e0%2e0%2e1/",
            "https://%31%32%37.0.0.1/",
            "https://a.example%00.b.example/",
        ),
        *("https://a.example%2f@b.example/", "https://a.example%23.b.example/", "https://10.1/"),
        # IPv6 that carries, zones, or is not quite one.
        *(
            "https://[::ffff:7f00:1]/",
            "https://[0:0:0:0:0:ffff:127.0.0.1]/",
            "https://[::127.0.0.1]/",
        ),
        *("https://[::ffff:0:127.0.0.1]/", "https://[64:ff9b:1::a9fe:a9fe]/", "https://[fec0::1]/"),
        *("https://[fe80::1%eth0]/", "https://[2606:4700::1%25]/", "https://[2606:4700::1%251]/"),
        *(
            "https://[2002:a9fe:a9fe::]/",
            "https://[2001:0:1::1]/",
            "https://[2606:4700::5efe:a00:1]/",
        ),
        *(
            "https://[::1].a.example/",
            "https://[v1.a]/",
            "https://[]/",
            "https://[[::1]]/",
            "https://[::1]a/",
        ),
        # What other programs take for a dot, a slash, a digit, or nothing.
        *("https://a\u3002example/", "https://a\uff0eexample/", "https://a\uff61example/"),
        *("https://a.ex\u00adample/",),
        *(
            "https://a.example\u2044b/",
            "https://loc\u00e4lhost.example/",
            "https://a\u200b.example/",
        ),
        *(
            "https:\\\\a.example/",
            "https:/\\a.example/",
            "https://a.example\\.b.example/",
            "\thttps://a.example/",
        ),
        *(
            "ht\ntps://a.example/",
            "https://a.exa\tmple/",
            "https://a.example\r/",
            " https://a.example/",
            "https://a.example/ ",
        ),
        *(
            "https://a.example:443:443/",
            "https://a.example:-443/",
            "https://a.example:443a/",
            "https://a.example:00443x/",
        ),
        *(
            "https://a.example;b.example/",
            "https://a.example,b.example/",
            "https://a.example&b/",
            "https://*.example/",
        ),
        *(
            "unix:///run/x.sock",
            "http+unix://a.example/",
            "jar:https://a.example/",
            "dict://a.example/",
            "data:,x",
        ),
        *(
            "https://user@/",
            "https://:443/",
            "https://.example/",
            "https://./",
            "https://../",
            "https://a_.example/",
        ),
    ],
)
def test_odd_or_private_targets_are_refused(url: str) -> None:
    with pytest.raises(TargetRefused):
        read_target(url, PUBLIC)


def test_plain_target_is_read_whole() -> None:
    target = read_target("https://Hooks.Example.com/in/1?key=a%20b", PUBLIC)

    assert (target.host, target.port, target.path) == ("hooks.example.com", 443, "/in/1?key=a%20b")
    assert target.authority == "hooks.example.com"


def test_public_addresses_are_taken_in_their_canonical_form() -> None:
    assert read_target("https://8.8.8.8", PUBLIC).host == "8.8.8.8"
    assert (
        read_target("https://[2606:4700:4700:0::1111]/", PUBLIC).authority
        == "[2606:4700:4700::1111]"
    )


def test_private_deployment_says_what_else_it_calls() -> None:
    rules = Rules(
        schemes=frozenset({"http", "https"}),
        ports=frozenset({443, 8080}),
        networks=(ipaddress.ip_network("10.0.0.0/8"),),
    )

    assert read_target("http://10.1.1.1:8080/x", rules).authority == "10.1.1.1:8080"
    with pytest.raises(TargetRefused):
        read_target("http://127.0.0.1:8080/x", rules)


@given(st.text(max_size=60))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}.example/", f"https://a.example:{text}"):
        try:
            target = read_target(url, PUBLIC)
        except TargetRefused:
            continue
        assert target.host.isascii()
        assert target.port == 443
        if target.host.rpartition(".")[2].isdigit():
            assert is_callable(ipaddress.ip_address(target.host))
