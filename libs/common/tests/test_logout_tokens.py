"""What a logout token must be before it ends anybody's session (OpenID Connect Back-Channel Logout, 2.6)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from pulse_common.jwt import LOGOUT_EVENT, LOGOUT_TOKEN_SECONDS, JwtVerifier, TokenRefused
from pulse_common.testing.tokens import AUDIENCE, CLIENT, ISSUER, Issuer

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer(NOW)


def verifier(issuer: Issuer, now: datetime = NOW) -> JwtVerifier:
    return JwtVerifier(
        issuer=ISSUER, audience=AUDIENCE, azp={CLIENT}, jwks=issuer.keys(), clock=lambda: now
    )


async def refusal(issuer: Issuer, token: str, now: datetime = NOW) -> str:
    with pytest.raises(TokenRefused) as caught:
        await verifier(issuer, now).verify_logout_token(token, CLIENT)
    return caught.value.reason


async def test_a_logout_token_tells_whose_session_ended(issuer: Issuer) -> None:
    claims = await verifier(issuer).verify_logout_token(issuer.logout_token(), CLIENT)

    expected = issuer.claims()
    assert (claims.session_id, claims.subject) == (expected["sid"], expected["sub"])
    assert claims.token_id == expected["jti"]
    assert claims.useless_at == NOW + timedelta(seconds=LOGOUT_TOKEN_SECONDS)


@pytest.mark.parametrize(
    ("changes", "header"),
    [
        ({"sid": ...}, {}),
        ({"sub": ...}, {}),
        ({"aud": [CLIENT]}, {}),
        ({"events": {LOGOUT_EVENT: {}, "urn:another": {}}}, {}),
        # As Keycloak wrote it before 26, and as the specification recommends.
        ({}, {"typ": "JWT"}),
        ({"typ": ...}, {"typ": "logout+jwt"}),
        ({"typ": ...}, {"typ": "application/LOGOUT+jwt"}),
    ],
)
async def test_other_good_forms_are_taken(
    issuer: Issuer, changes: dict[str, object], header: dict[str, object]
) -> None:
    token = issuer.logout_token(header, **changes)

    claims = await verifier(issuer).verify_logout_token(token, CLIENT)

    assert claims.session_id or claims.subject


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://elsewhere.example"}, "issuer"),
        ({"aud": "another"}, "audience"),
        ({"aud": [CLIENT, "another"]}, "audience"),
        ({"aud": ...}, "claim_aud"),
        ({"typ": "ID"}, "type"),
        ({"typ": "Bearer"}, "type"),
        ({"nonce": "n"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"exp": SECONDS - 30}, "expired"),
        ({"exp": ...}, "claim_exp"),
        ({"iat": SECONDS + 31}, "issued_in_the_future"),
        ({"iat": SECONDS - LOGOUT_TOKEN_SECONDS}, "too_old"),
        ({"iat": ...}, "claim_iat"),
        ({"events": ...}, "claim_events"),
        ({"events": {}}, "claim_events"),
        ({"events": [LOGOUT_EVENT]}, "claim_events"),
        ({"events": {LOGOUT_EVENT: True}}, "claim_events"),
        ({"events": {LOGOUT_EVENT + "s": {}}}, "claim_events"),
        ({"sid": ..., "sub": ...}, "claim_sid"),
        ({"sid": 7}, "claim_sid"),
        ({"sub": "a\x00b"}, "claim_sub"),
        ({"jti": ...}, "claim_jti"),
    ],
)
async def test_a_claim_that_is_wrong_is_refused(
    issuer: Issuer, changes: dict[str, object], reason: str
) -> None:
    assert await refusal(issuer, issuer.logout_token({}, **changes)) == reason


async def test_a_token_signed_by_another_is_refused(issuer: Issuer) -> None:
    assert await refusal(issuer, Issuer(NOW).logout_token()) == "signature"
    assert await refusal(issuer, Issuer(NOW, "k2").logout_token()) == "unknown_key"


async def test_a_token_that_says_nowhere_what_it_is_for_is_refused(issuer: Issuer) -> None:
    token = issuer.logout_token({"typ": "JWT"}, typ=...)

    assert await refusal(issuer, token) == "type"


async def test_access_and_id_tokens_end_no_session(issuer: Issuer) -> None:
    events: dict[str, object] = {LOGOUT_EVENT: {}}
    for kind in ("Bearer", "ID"):
        token = issuer.token(typ=kind, aud=CLIENT, events=events)
        assert await refusal(issuer, token) == "type"


async def test_a_logout_token_lets_nobody_in(issuer: Issuer) -> None:
    disguised = json.dumps(issuer.claims()).encode()
    for token in (issuer.logout_token(), issuer.sign(disguised, typ="logout+jwt")):
        with pytest.raises(TokenRefused) as caught:
            await verifier(issuer).verify(token)
        assert caught.value.reason == "header"
