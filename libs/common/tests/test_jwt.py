"""What an access token and an ID token must be before anybody is let in on it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from pulse_common.clients import parse_clients
from pulse_common.jws import LONGEST_TOKEN
from pulse_common.jwt import JwtVerifier, TokenRefused
from pulse_common.testing.tokens import (
    ACME,
    AUDIENCE,
    CLIENT,
    ISSUER,
    FakeKeys,
    Issuer,
    encode,
    sign,
)

if TYPE_CHECKING:
    from pulse_common.identity import Principal

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer(NOW)


def verifier(keys: FakeKeys, now: datetime = NOW) -> JwtVerifier:
    return JwtVerifier(issuer=ISSUER, audience=AUDIENCE, azp={CLIENT}, jwks=keys, clock=lambda: now)


async def refusal(issuer: Issuer, token: str, keys: FakeKeys | None = None) -> str:
    with pytest.raises(TokenRefused) as caught:
        await verifier(keys or issuer.keys()).verify(token)
    return caught.value.reason


async def test_a_good_token_says_who_calls(issuer: Issuer) -> None:
    principal = await verifier(issuer.keys()).verify(issuer.token())

    assert str(principal.tenant) == ACME
    assert principal.roles == {"tenant-admin"}
    assert principal.email == "alice@acme.example"
    assert principal.client == CLIENT
    assert principal.authenticated_at == NOW
    assert principal.expires_at == NOW + timedelta(seconds=300)


async def test_an_operator_has_no_tenant(issuer: Issuer) -> None:
    token = issuer.token(realm_access={"roles": ["operator"]}, tenant_id=...)

    principal = await verifier(issuer.keys()).verify(token)

    assert principal.tenant is None
    assert principal.is_operator


async def test_a_caller_learns_no_reason(issuer: Issuer) -> None:
    with pytest.raises(TokenRefused) as caught:
        await verifier(issuer.keys()).verify(issuer.token(aud="account"))

    assert caught.value.status == 401
    assert caught.value.message == "the token is not valid"
    assert caught.value.reason == "audience"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
async def test_an_unsigned_token_is_refused(issuer: Issuer, name: str) -> None:
    header = json.dumps({"alg": name, "typ": "JWT", "kid": "k1"}).encode()
    payload = json.dumps(issuer.claims()).encode()
    good_signature = issuer.token().rpartition(".")[2]

    assert await refusal(issuer, f"{encode(header)}.{encode(payload)}.") == "malformed"
    assert (
        await refusal(issuer, f"{encode(header)}.{encode(payload)}.{good_signature}") == "algorithm"
    )


async def test_the_public_key_is_not_an_hmac_secret(issuer: Issuer) -> None:
    header = json.dumps({"alg": "HS256", "typ": "JWT", "kid": "k1"}).encode()
    signed = f"{encode(header)}.{encode(json.dumps(issuer.claims()).encode())}"
    pem = issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mac = hmac.digest(pem, signed.encode(), hashlib.sha256)

    assert await refusal(issuer, f"{signed}.{encode(mac)}") == "algorithm"


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS512"])
async def test_the_keys_own_algorithm_is_the_only_one(issuer: Issuer, algorithm: str) -> None:
    header = json.dumps({"alg": algorithm, "typ": "JWT", "kid": "k1"}).encode()
    token = sign(header, json.dumps(issuer.claims()).encode(), issuer.key, algorithm)

    assert await refusal(issuer, token) == "algorithm"


async def test_a_key_without_algorithm_takes_those_of_its_type(issuer: Issuer) -> None:
    published = issuer.jwk()
    del published["alg"]
    payload = json.dumps(issuer.claims()).encode()
    header = json.dumps({"alg": "PS256", "typ": "JWT", "kid": "k1"}).encode()

    principal = await verifier(FakeKeys({"keys": [published]})).verify(
        sign(header, payload, issuer.key, "PS256")
    )

    assert str(principal.tenant) == ACME


async def test_es256_and_eddsa_keys_verify(issuer: Issuer) -> None:
    payload = json.dumps(issuer.claims()).encode()
    curve_key, edwards_key = (
        ec.generate_private_key(ec.SECP256R1()),
        ed25519.Ed25519PrivateKey.generate(),
    )
    keys = FakeKeys(
        {
            "keys": [
                ECAlgorithm.to_jwk(curve_key.public_key(), as_dict=True) | {"kid": "e"},
                OKPAlgorithm.to_jwk(edwards_key.public_key(), as_dict=True) | {"kid": "d"},
            ]
        }
    )

    for_curve = sign(b'{"alg":"ES256","kid":"e"}', payload, curve_key, "ES256")
    for_edwards = sign(b'{"alg":"EdDSA","kid":"d"}', payload, edwards_key, "EdDSA")

    assert (await verifier(keys).verify(for_curve)).name == "Alice Archer"
    assert (await verifier(keys).verify(for_edwards)).name == "Alice Archer"


@pytest.mark.parametrize("member", ["crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc"])
async def test_a_header_may_not_bring_keys_or_extensions(issuer: Issuer, member: str) -> None:
    value = {"crit": ["b64"], "jwk": issuer.jwk(), "b64": False}.get(member, "https://evil.example")
    token = issuer.sign(json.dumps(issuer.claims()).encode(), **{member: value})

    assert await refusal(issuer, token) == "header"


async def test_an_attackers_embedded_key_is_not_used(issuer: Issuer) -> None:
    attacker = Issuer(NOW)
    payload = json.dumps(issuer.claims()).encode()

    assert await refusal(issuer, attacker.sign(payload, jwk=attacker.jwk())) == "header"
    assert await refusal(issuer, attacker.sign(payload)) == "signature"


async def test_a_psychic_signature_is_refused(issuer: Issuer) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    keys = FakeKeys({"keys": [ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "e"}]})
    header = encode(b'{"alg":"ES256","kid":"e"}')
    signed = f"{header}.{encode(json.dumps(issuer.claims()).encode())}"

    for signature in (bytes(64), bytes(63) + b"\x01", b"\x00", bytes(65)):
        assert await refusal(issuer, f"{signed}.{encode(signature)}", keys) == "signature"


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()])
async def test_a_key_on_another_curve_is_no_key(issuer: Issuer, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    keys = FakeKeys({"keys": [ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "e"}]})
    header = b'{"alg":"ES256","kid":"e"}'

    token = sign(header, b"{}", ec.generate_private_key(ec.SECP256R1()), "ES256")

    assert await refusal(issuer, token, keys) == "unknown_key"


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"use": ["sig"]},
        {"key_ops": ["encrypt"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"alg": "RSA-OAEP"},
        {"alg": "HS256"},
        {"alg": ["RS256"]},
        {"d": "AQAB"},
        {"e": "Aw"},
        {"e": "AQ"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "EC"},
        {"n": "AQAB"},
        {"n": 5},
        {"kid": None},
    ],
)
async def test_an_unsuitable_key_does_not_verify(issuer: Issuer, change: dict[str, object]) -> None:
    keys = FakeKeys({"keys": [issuer.jwk() | change]})

    assert await refusal(issuer, issuer.token(), keys) == "unknown_key"


async def test_a_short_rsa_key_does_not_verify(issuer: Issuer) -> None:
    numbers = issuer.key.public_key().public_numbers()
    short = encode((numbers.n >> 1024).to_bytes(128, "big"))

    keys = FakeKeys({"keys": [issuer.jwk() | {"n": short}]})

    assert await refusal(issuer, issuer.token(), keys) == "unknown_key"


async def test_two_keys_of_one_id_are_both_refused(issuer: Issuer) -> None:
    other = Issuer(NOW)
    for second in (other.jwk(), issuer.jwk(), other.jwk() | {"use": "enc"}):
        keys = FakeKeys({"keys": [issuer.jwk(), second]})
        assert await refusal(issuer, issuer.token(), keys) == "unknown_key"


@pytest.mark.parametrize("spoilt", [b'{"sub":"a","sub":"b"}', b'{"a":{"b":1,"b":2}}'])
async def test_a_repeated_member_is_refused(issuer: Issuer, spoilt: bytes) -> None:
    assert await refusal(issuer, issuer.sign(spoilt)) == "malformed"


async def test_a_repeated_header_member_is_refused(issuer: Issuer) -> None:
    header = b'{"alg":"none","kid":"k1","alg":"RS256"}'

    token = sign(header, json.dumps(issuer.claims()).encode(), issuer.key, "RS256")

    assert await refusal(issuer, token) == "malformed"


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b'"x"', b'{"exp":NaN}', b"{", b"\xff\xfe{\x00}\x00", b"[" * 5000,
     b'{"exp":' + b"9" * 5000 + b"}"],
)  # fmt: skip
async def test_a_payload_that_is_no_object_is_refused(issuer: Issuer, payload: bytes) -> None:
    assert await refusal(issuer, issuer.sign(payload)) == "malformed"


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b", "a.b.c.d", "a.b.c.d.e", "ä.b.c", "a.b.c\n", " a.b.c", "YQ==.YQ.YQ",
     "YR.YQ.YQ", "A.A.A", "\x00.b.c", "\ud800.b.c"],
)  # fmt: skip
async def test_rubbish_is_refused_before_any_key_is_asked(issuer: Issuer, token: str) -> None:
    assert await refusal(issuer, token) == "malformed"


async def test_padding_does_not_give_a_token_a_second_spelling(issuer: Issuer) -> None:
    good = issuer.token()

    assert await refusal(issuer, good + "=") == "malformed"
    assert await refusal(issuer, good + "==") == "malformed"


async def test_a_huge_token_is_refused_before_it_is_read() -> None:
    class Untouched:
        async def find(self, key_id: str) -> None:
            raise AssertionError(f"a refused token asked for key {key_id}")

    judge = JwtVerifier(issuer=ISSUER, audience=AUDIENCE, azp=[CLIENT], jwks=Untouched())

    for token in ("a" * (LONGEST_TOKEN + 1), "{" * 50_000_000):
        with pytest.raises(TokenRefused) as caught:
            await judge.verify(token)
        assert caught.value.reason == "too_long"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("iss", "https://evil.example/realms/pulse", "issuer"),
        ("iss", ISSUER + "/", "issuer"),
        ("iss", [ISSUER], "claim_iss"),
        ("aud", "account", "audience"),
        ("aud", ["account"], "audience"),
        ("aud", "pulse-api-2", "audience"),
        ("aud", ["pulse-api", 5], "claim_aud"),
        ("aud", {"pulse-api": 1}, "claim_aud"),
        ("aud", ..., "claim_aud"),
        ("azp", "pulse", "authorized_party"),
        ("azp", "other-client", "authorized_party"),
        ("azp", ["pulse-ui"], "claim_azp"),
        ("azp", ..., "claim_azp"),
        ("typ", "ID", "type"),
        ("typ", "Refresh", "type"),
        ("typ", "bearer", "type"),
        ("typ", "Logout", "type"),
        ("typ", ..., "claim_typ"),
        ("exp", SECONDS - 30, "expired"),
        ("exp", str(SECONDS + 300), "claim_exp"),
        ("exp", float(SECONDS + 300), "claim_exp"),
        ("exp", True, "claim_exp"),
        ("exp", None, "claim_exp"),
        ("exp", ..., "claim_exp"),
        ("exp", 10**30, "claim_exp"),
        ("iat", SECONDS + 31, "issued_in_the_future"),
        ("iat", ..., "claim_iat"),
        ("nbf", SECONDS + 31, "not_yet_valid"),
        ("nbf", "soon", "claim_nbf"),
        ("auth_time", "noon", "claim_auth_time"),
        ("sub", 5, "claim_sub"),
        ("sub", "", "claim_sub"),
        ("sub", ["x"], "claim_sub"),
        ("sub", "a\x00b", "claim_sub"),
        ("sub", "\ud800", "claim_sub"),
        ("sub", "x" * 256, "claim_sub"),
        ("sid", 5, "claim_sid"),
        ("email", {"x": 1}, "claim_email"),
        ("name", "a\nb", "claim_name"),
        ("cnf", {"jkt": "x"}, "sender_constrained"),
        ("realm_access", ..., "claim_realm_access"),
        ("realm_access", ["tenant-admin"], "claim_realm_access"),
        ("realm_access", {"roles": "tenant-admin"}, "claim_realm_access"),
        ("realm_access", {"roles": ["tenant-admin", 5]}, "claim_realm_access"),
        ("realm_access", {"roles": ["offline_access"]}, "no_role"),
        ("realm_access", {"roles": ["customer", "operator"]}, "role_conflict"),
        ("realm_access", {"roles": ["operator"]}, "tenant_of_operator"),
        ("realm_access", {"roles": ["operator-admin"]}, "tenant_of_operator"),
        ("tenant_id", ..., "claim_tenant_id"),
        ("tenant_id", None, "claim_tenant_id"),
        ("tenant_id", [ACME], "claim_tenant_id"),
        ("tenant_id", "ABCDEFAB-1111-4111-8111-111111111111", "claim_tenant_id"),
        ("tenant_id", "{11111111-1111-4111-8111-111111111111}", "claim_tenant_id"),
        ("tenant_id", "11111111111141118111111111111111", "claim_tenant_id"),
        ("tenant_id", ACME + "\n", "claim_tenant_id"),
        ("tenant_id", "00000000-0000-0000-0000-000000000000", "claim_tenant_id"),
    ],
)
async def test_a_claim_that_is_wrong_is_refused(
    issuer: Issuer, name: str, value: object, reason: str
) -> None:
    assert await refusal(issuer, issuer.token(**{name: value})) == reason


@pytest.mark.parametrize(
    "change",
    [{"exp": SECONDS - 29}, {"iat": SECONDS + 30}, {"nbf": SECONDS + 30}, {"aud": AUDIENCE},
     {"sid": ...}, {"name": ...}],
)  # fmt: skip
async def test_leeway_and_optional_claims_let_a_good_token_in(
    issuer: Issuer, change: dict[str, object]
) -> None:
    principal = await verifier(issuer.keys()).verify(issuer.token(**change))

    assert principal.subject


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "JWS", 5, None])
async def test_a_token_of_another_trade_is_refused(issuer: Issuer, kind: object) -> None:
    token = issuer.sign(json.dumps(issuer.claims()).encode(), typ=kind)

    assert await refusal(issuer, token) == "header"


@pytest.mark.parametrize("key_id", ["", 5, None, "x" * 256, "a b", "ä", "a\n"])
async def test_a_key_id_is_plain_short_text(issuer: Issuer, key_id: object) -> None:
    token = issuer.sign(json.dumps(issuer.claims()).encode(), kid=key_id)

    assert await refusal(issuer, token) == "header"


async def test_a_bare_client_name_is_not_matched_in_part(issuer: Issuer) -> None:
    judge = JwtVerifier(
        issuer=ISSUER, audience=AUDIENCE, azp="pulse-ui", jwks=issuer.keys(), clock=lambda: NOW
    )

    with pytest.raises(TokenRefused):
        await judge.verify(issuer.token(azp="pulse"))


async def judge_of_programs(issuer: Issuer, **claims: object) -> Principal:
    judge = JwtVerifier(
        issuer=ISSUER,
        audience=AUDIENCE,
        azp=parse_clients("pulse-ui,pulse-api-*"),
        jwks=issuer.keys(),
        clock=lambda: NOW,
    )
    return await judge.verify(issuer.token(**claims))


@pytest.mark.parametrize("client", ["pulse-ui", "pulse-api-acme", "pulse-api-acme-erp-2"])
async def test_people_and_tenants_programs_are_let_in(issuer: Issuer, client: str) -> None:
    assert (await judge_of_programs(issuer, azp=client)).client == client


@pytest.mark.parametrize(
    "client",
    [
        "pulse-api-",
        "pulse-api",
        "pulse-apix",
        "pulse-api--x",
        "pulse-api-*",
        "pulse-api-Acme",
        "pulse-api-a.b",
        "pulse-api-ä",
        "PULSE-API-acme",
        " pulse-api-acme",
        "pulse-api-acme ",
        "pulse-api-" + "a" * 41,
        "x-pulse-api-acme",
        "pulse-ui-admin",
        "pulse-ui-",
        "account",
        "account-console",
        "admin-cli",
        "security-admin-console",
    ],
)
async def test_what_is_nearly_a_program_is_none(issuer: Issuer, client: str) -> None:
    with pytest.raises(TokenRefused) as caught:
        await judge_of_programs(issuer, azp=client)

    assert caught.value.reason == "authorized_party"


@pytest.mark.parametrize("role", ["operator", "operator-admin"])
async def test_a_program_is_never_an_operator(issuer: Issuer, role: str) -> None:
    operator = {"realm_access": {"roles": [role]}, "tenant_id": ...}

    assert (await judge_of_programs(issuer, azp="pulse-ui", **operator)).is_operator
    with pytest.raises(TokenRefused) as caught:
        await judge_of_programs(issuer, azp="pulse-api-acme", **operator)

    assert caught.value.reason == "program_of_operator"


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_every_byte_is_covered_by_the_signature(issuer: Issuer, part: int) -> None:
    parts = issuer.token().split(".")
    raw = bytearray(base64.urlsafe_b64decode(parts[part] + "==="))
    raw[len(raw) // 2] ^= 1
    parts[part] = encode(bytes(raw))

    assert await refusal(issuer, ".".join(parts)) in {"signature", "malformed", "header"}


def id_token(issuer: Issuer, **changes: object) -> str:
    return issuer.token(
        **{"typ": "ID", "aud": CLIENT, "nonce": "n-1", "realm_access": ...} | changes
    )


async def test_an_id_token_tells_who_logged_in(issuer: Issuer) -> None:
    claims = await verifier(issuer.keys()).verify_id_token(id_token(issuer), "n-1", CLIENT)

    assert claims.email == "alice@acme.example"
    assert claims.session_id == "0b9a7c52-4f3c-4b9e-9d64-8c7c0f3c2f11"


@pytest.mark.parametrize(
    ("changes", "nonce", "reason"),
    [
        ({}, "n-2", "nonce"),
        ({}, "ñ", "nonce"),
        ({"nonce": "ñ"}, "n-1", "nonce"),
        ({"nonce": ...}, "n-1", "claim_nonce"),
        ({"nonce": ...}, "", "nonce"),
        ({"aud": AUDIENCE}, "n-1", "audience"),
        ({"aud": [CLIENT, "other"]}, "n-1", "audience"),
        ({"azp": "other"}, "n-1", "authorized_party"),
        ({"typ": "Bearer"}, "n-1", "type"),
        ({"exp": SECONDS - 31}, "n-1", "expired"),
    ],
)
async def test_an_id_token_of_another_log_in_is_refused(
    issuer: Issuer, changes: dict[str, object], nonce: str, reason: str
) -> None:
    with pytest.raises(TokenRefused) as caught:
        await verifier(issuer.keys()).verify_id_token(id_token(issuer, **changes), nonce, CLIENT)

    assert caught.value.reason == reason


async def test_rsa_keys_from_pyjwt_round_trip(issuer: Issuer) -> None:
    published = RSAAlgorithm.to_jwk(issuer.key.public_key(), as_dict=True) | {"kid": "k1"}

    principal = await verifier(FakeKeys({"keys": [published]})).verify(issuer.token())

    assert principal.roles == {"tenant-admin"}
