from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision_api.domain import checked_name, make_token, read_token, token_expiry
from pulse_common.errors import Malformed, Unauthenticated
from pulse_common.identity import TenantId

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.uuids(), st.binary(min_size=32, max_size=32))
def test_token_finds_its_tenant_again(tenant: UUID, random: bytes) -> None:
    token = make_token(TenantId(tenant), random)

    assert read_token(token.text) == token
    assert token.tenant == tenant


@given(st.text())
def test_anything_else_is_refused_with_one_answer(text: str) -> None:
    with pytest.raises(Unauthenticated, match="unknown, used or expired"):
        read_token(text)


def test_token_has_one_spelling() -> None:
    text = make_token(TenantId(uuid4()), b"x" * 32).text

    for other in (text + "=", text[:-1], text.upper(), f" {text}", text.replace("pet_", "PET_")):
        with pytest.raises(Unauthenticated):
            read_token(other)


def test_token_does_not_live_long_by_itself() -> None:
    assert token_expiry(NOW, None) == NOW + timedelta(hours=24)


@pytest.mark.parametrize("seconds", [-1, 0, 59, 7 * 86_400 + 1])
def test_lifetime_is_bounded(seconds: int) -> None:
    with pytest.raises(Malformed, match="expires_in_seconds"):
        token_expiry(NOW, seconds)


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\x00b", "a\u202eb", "a\u2028b", "a\nb"])
def test_names_are_for_people(name: str) -> None:
    with pytest.raises(Malformed):
        checked_name(name)


@pytest.mark.parametrize("name", ["Lamp", " Größe ", "<script>alert(1)</script>", "工场"])
def test_any_writing_is_a_name(name: str) -> None:
    assert checked_name(name) == name.strip()
