"""Which addresses are called, by what other filters' own tests say of them, and by ranges that must never open."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_worker.addresses import is_callable

# Kept beside the repository, since others wrote it.
VECTORS = Path(__file__).parents[4] / "shared" / "corpora" / "ssrf" / "ip_classify.jsonl"


@pytest.mark.skipif(not VECTORS.exists(), reason="the vectors of other SSRF filters are not here")
def test_nothing_is_called_that_another_filter_blocks() -> None:
    rows = [json.loads(line) for line in VECTORS.read_text().splitlines()]

    called = [
        row["ip"]
        for row in rows
        if row["expect"] == "block" and is_callable(ipaddress.ip_address(row["ip"]))
    ]

    assert len(rows) > 400
    assert called == []


@pytest.mark.skipif(not VECTORS.exists(), reason="the vectors of other SSRF filters are not here")
def test_what_is_plainly_public_is_called() -> None:
    rows = [json.loads(line) for line in VECTORS.read_text().splitlines()]
    public = [ipaddress.ip_address(row["ip"]) for row in rows if row["expect"] == "allow"]
    # Those that carry an IPv4 address in IPv6 are refused here on purpose, whichever it is.
    plain = [a for a in public if a.version == 4 or a in ipaddress.ip_network("2000::/3")]

    assert len(plain) > 6
    assert all(is_callable(address) for address in plain)


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255"),
        *("168.63.129.16", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8"),
        *("64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "fe80::1"),
        *("fd00:ec2::254", "ff02::1", "2001:db8::1", "2606:4700::5efe:7f00:1", "2606:4700::1%eth0"),
    ],
)
def test_each_kind_of_private_address_is_refused(text: str) -> None:
    assert not is_callable(ipaddress.ip_address(text))


def test_the_operator_may_allow_a_private_network_and_nothing_more() -> None:
    allowed = [ipaddress.ip_network("10.20.0.0/16")]

    assert is_callable(ipaddress.ip_address("10.20.1.1"), allowed)
    assert not is_callable(ipaddress.ip_address("10.21.1.1"), allowed)
    assert not is_callable(ipaddress.ip_address("::ffff:10.20.1.1"), allowed)


@given(st.integers(0, 2**32 - 1))
def test_no_form_of_ipv6_carries_an_ipv4_address(number: int) -> None:
    carriers = ("::", "::ffff:0:0", "64:ff9b::", "::ffff:0:0:0", "fe80::5efe:0:0")

    for carrier in carriers:
        assert not is_callable(ipaddress.IPv6Address(int(ipaddress.IPv6Address(carrier)) | number))
    assert not is_callable(ipaddress.IPv6Address((0x2002 << 112) | (number << 80)))
    assert not is_callable(ipaddress.IPv6Address((0x20010000 << 96) | number))
