from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui_iot.sealing import NotSealedHereError, Sealer

CURRENT, PREVIOUS, OTHER = b"c" * 32, b"p" * 32, b"o" * 32


@given(st.binary(), st.text())
def test_what_was_sealed_opens_for_the_same_purpose(value: bytes, purpose: str) -> None:
    sealer = Sealer([CURRENT])

    assert sealer.open(sealer.seal(value, purpose), purpose) == value


@given(st.binary(), st.data())
def test_one_changed_bit_anywhere_is_noticed(value: bytes, data: st.DataObject) -> None:
    sealed = bytearray(Sealer([CURRENT]).seal(value, "purpose"))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8

    with pytest.raises(NotSealedHereError):
        Sealer([CURRENT]).open(bytes(sealed), "purpose")


@given(st.binary(), st.data())
def test_cut_short_is_noticed(value: bytes, data: st.DataObject) -> None:
    sealed = Sealer([CURRENT]).seal(value, "purpose")
    length = data.draw(st.integers(0, len(sealed) - 1))

    with pytest.raises(NotSealedHereError):
        Sealer([CURRENT]).open(sealed[:length], "purpose")


@given(st.binary())
def test_anything_else_is_refused(value: bytes) -> None:
    with pytest.raises(NotSealedHereError):
        Sealer([CURRENT]).open(value, "purpose")


@given(st.text(), st.text())
def test_sealed_for_one_purpose_opens_for_no_other(one: str, other: str) -> None:
    sealed = Sealer([CURRENT]).seal(b"value", one)

    if one != other:
        with pytest.raises(NotSealedHereError):
            Sealer([CURRENT]).open(sealed, other)


@pytest.mark.parametrize("keys", [[OTHER], [OTHER, PREVIOUS]])
def test_other_keys_open_nothing(keys: list[bytes]) -> None:
    sealed = Sealer([CURRENT]).seal(b"value", "purpose")

    with pytest.raises(NotSealedHereError):
        Sealer(keys).open(sealed, "purpose")


def test_previous_key_opens_and_the_current_one_seals() -> None:
    old = Sealer([PREVIOUS]).seal(b"value", "purpose")
    rotated = Sealer([CURRENT, PREVIOUS])

    assert rotated.open(old, "purpose") == b"value"
    assert Sealer([CURRENT]).open(rotated.seal(b"new", "purpose"), "purpose") == b"new"


def test_the_same_value_never_looks_the_same() -> None:
    sealer = Sealer([CURRENT])

    assert sealer.seal(b"value", "purpose") != sealer.seal(b"value", "purpose")


def test_no_key_no_sealer() -> None:
    with pytest.raises(ValueError, match="needs a key"):
        Sealer([])
