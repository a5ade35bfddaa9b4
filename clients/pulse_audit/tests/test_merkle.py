"""Known answers of RFC 6962 trees (from the reference implementation), then the same against the definition."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_audit.merkle import (
    EMPTY_ROOT,
    consistency_path,
    consistent,
    included,
    inclusion_path,
    leaf_hash,
    root_of,
)

INPUTS = [
    bytes.fromhex(text)
    for text in (
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    )
]
LEAVES = [leaf_hash(data) for data in INPUTS]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_known_ones(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("position", "size"), INCLUSION)
def test_inclusion_paths_are_the_known_ones(position: int, size: int) -> None:
    path = inclusion_path(LEAVES[:size], position)

    assert [step.hex() for step in path] == INCLUSION[position, size]


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_consistency_paths_are_the_known_ones(old: int, new: int) -> None:
    path = consistency_path(LEAVES[:new], old)

    assert [step.hex() for step in path] == CONSISTENCY[old, new]


def _by_definition(leaves: list[bytes]) -> bytes:
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(
        b"\x01" + _by_definition(leaves[:split]) + _by_definition(leaves[split:])
    ).digest()


@given(st.integers(1, 70), st.data())
def test_every_proof_holds_and_none_holds_for_something_else(
    size: int, data: st.DataObject
) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    position = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))

    root, old_root = root_of(leaves), root_of(leaves[:old])
    inclusion, growth = inclusion_path(leaves, position), consistency_path(leaves, old)

    assert root == _by_definition(leaves)
    assert included(leaves[position], position, size, inclusion, root)
    assert consistent(old, old_root, size, root, growth)
    assert not included(leaf_hash(b"other"), position, size, inclusion, root)
    assert not included(leaves[position], position + 1, size, inclusion, root)
    assert not included(leaves[position], position, size, [*inclusion, root], root)
    assert not consistent(old, leaf_hash(b"other"), size, root, growth)
    assert not consistent(old, old_root, size, leaf_hash(b"other"), growth)
    assert not consistent(old, old_root, size, root, [*growth, root])
