"""Vectors that nobody here wrote: no invalid one is accepted for an algorithm that we allow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pulse_common.jwk import VerificationKey, read_key_set
from pulse_common.jws import CompactToken, TokenRefused, check_signature, read_compact

VECTORS = Path(__file__).parents[4] / "shared" / "corpora" / "wycheproof-jose"

pytestmark = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="the Wycheproof JOSE vectors are not beside this repository"
)


def read(name: str) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())["testGroups"]
    return groups


def accepts(token: str, published: dict[str, Any]) -> bool:
    """Judge a token as the verifier would, claims apart; the vectors' keys often have no id."""
    entries = [{"kid": "vector"} | entry for entry in published.get("keys", [published])]
    keys: dict[str, VerificationKey] = read_key_set({"keys": entries})
    try:
        compact = read_compact(token)
        key = keys.get(compact.key_id)
        if key is None:
            return False
        check_signature(compact, key)
    except TokenRefused:
        return False
    return True


@pytest.mark.parametrize(
    "name",
    ["json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json"],
)
def test_no_invalid_token_is_accepted(name: str) -> None:
    wrong, judged, accepted = [], 0, 0
    for group in read(name):
        published = group.get("public") or group["private"]
        for vector in group["tests"]:
            if not isinstance(vector.get("jws"), str):
                continue  # encrypted, or the JSON serialisation, which no bearer header can carry
            judged += 1
            verdict = accepts(vector["jws"], published)
            accepted += verdict
            if verdict and vector["result"] != "valid":
                wrong.append((vector["tcId"], vector["comment"], vector["flags"]))

    assert not wrong
    assert judged > 20
    assert accepted > 0  # a verifier that refuses everything would pass too


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("ecdsa_secp256r1_sha256_p1363_test.json", "ES256"),
        ("ed25519_test.json", "EdDSA"),
        ("rsa_pss_2048_sha256_mgf1_32_test.json", "PS256"),
        ("rsa_signature_2048_sha256_test.json", "RS256"),
    ],
)
def test_raw_signatures_are_judged_as_the_vectors_say(name: str, algorithm: str) -> None:
    wrong, judged = [], 0
    for group in read(name):
        published = group.get("publicKeyJwk") or group.get("keyJwk")
        if published is None:
            continue
        entry = {m: published[m] for m in ("kty", "n", "e", "crv", "x", "y") if m in published}
        keys = read_key_set({"keys": [entry | {"kid": "vector", "alg": algorithm}]})
        for vector in group["tests"]:
            judged += 1
            verdict = bool(keys) and _verifies(vector, algorithm, keys["vector"])
            # A key that we find too weak (exponent 3) verifies nothing, good signatures included.
            expected = vector["result"] == "valid" and bool(keys)
            if verdict != expected and vector["result"] != "acceptable":
                wrong.append((vector["tcId"], vector["comment"], vector["result"]))

    assert judged > 100
    assert not wrong


def _verifies(vector: dict[str, Any], algorithm: str, key: VerificationKey) -> bool:
    """Hold the bare message and signature against the key, as ``check_signature`` does."""
    token = CompactToken(
        "vector", algorithm, b"", bytes.fromhex(vector["msg"]), bytes.fromhex(vector["sig"])
    )
    try:
        check_signature(token, key)
    except TokenRefused:
        return False
    return True
