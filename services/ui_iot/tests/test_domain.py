from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui_iot.domain import HOME, LIVE_FOR, Certificate, CutOff, Device, local_path

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CERTIFICATE = Certificate(
    serial_number="0a",
    issued_at=NOW,
    expires_at=NOW + timedelta(days=90),
    revoked_at=None,
    revocation_reason=None,
    session_cut_at=None,
)
DEVICE = Device(
    id=uuid4(),
    name="Lamp",
    created_at=NOW,
    last_seen_at=NOW,
    latest={},
    version=1,
    certificate=CERTIFICATE,
)
ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/devices\\..\\evil",
    "https:evil.example",
    "https://evil.example/devices",
    "https:///evil.example",
    "javascript:alert(1)",
    "data:text/html,hello",
    "/\t/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/\n/evil.example",
    "/\r\nset-cookie: a=b",
    "/devices\x00",
    "/\x7f/evil.example",
    "@evil.example",
    "evil.example",
    ".evil.example",
    "devices",
    "?next=//evil.example",
    "#//evil.example",
    "/auth/logout",
    "/auth/login?next=/auth/login",
    "/dévices",
    "/\u2028/evil",
    "/\uff0fevil.example",
    "/" + "a" * 1000,
    "",
    None,
]


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_log_in_leads_nowhere_else(wanted: str | None) -> None:
    assert local_path(wanted) == HOME


@pytest.mark.parametrize(
    "wanted",
    [
        "/devices/0190-abc?after=1&b=%2F%2Fevil",
        "/devices#events",
        "/@evil.example",
        "/%09/evil.example",
        "/%2F%2Fevil.example",
        "/devices?next=https://evil.example",
    ],
)
def test_deep_links_survive(wanted: str) -> None:
    assert local_path(wanted) == wanted


@given(
    st.one_of(
        st.text(),
        st.text("/\\.:@?#%\t\n\r 09aefhilopstv[]"),
        st.text("/\\\t\n.:@").map(lambda text: f"/{text}evil.example"),
    )
)
def test_whatever_is_wanted_a_browser_stays_on_this_site(wanted: str) -> None:
    led = local_path(wanted)

    assert urlsplit(urljoin("https://pulse.example/auth/callback", led)).netloc == "pulse.example"
    # As the WHATWG URL standard reads it: no second slash or backslash, once control characters are gone.
    assert led[0] == "/"
    assert "".join(led.split())[1:2] not in {"/", "\\"}
    assert led.isascii()
    assert led.isprintable()


def seen(ago: timedelta) -> Device:
    return replace(DEVICE, last_seen_at=NOW - ago)


def test_device_is_live_for_half_a_minute_after_its_last_message() -> None:
    assert seen(LIVE_FOR).status(NOW) == "live"
    assert seen(LIVE_FOR + timedelta(milliseconds=1)).status(NOW) == "offline"


def test_device_that_never_spoke_says_so() -> None:
    assert replace(DEVICE, last_seen_at=None).status(NOW) == "never"


def test_revoked_device_is_cut_off_however_lately_it_spoke() -> None:
    revoked = replace(CERTIFICATE, revoked_at=NOW)

    assert replace(DEVICE, certificate=revoked).status(NOW) == "cut_off"


@pytest.mark.parametrize(
    ("gone_after", "shown"),
    [(None, None), (timedelta(seconds=1.2344), 1234), (timedelta(seconds=-1), 0)],
)
def test_cut_off_tells_how_long_it_took(gone_after: timedelta | None, shown: int | None) -> None:
    gone_at = None if gone_after is None else NOW + gone_after
    certificate = replace(CERTIFICATE, revoked_at=NOW, session_cut_at=gone_at)

    assert replace(DEVICE, certificate=certificate).cut_off() == CutOff(NOW, shown)


def test_certificate_that_was_not_revoked_is_no_cut_off() -> None:
    assert DEVICE.cut_off() is None
    assert replace(DEVICE, certificate=None).cut_off() is None


def test_certificate_ends_at_its_expiry_and_a_revoked_one_stays_revoked() -> None:
    ends = CERTIFICATE.expires_at

    assert CERTIFICATE.state(ends - timedelta(seconds=1)) == "active"
    assert CERTIFICATE.state(ends) == "expired"
    assert replace(CERTIFICATE, revoked_at=NOW).state(ends) == "revoked"
