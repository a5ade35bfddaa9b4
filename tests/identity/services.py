"""What Pulse's services make of a token: the verifier that all of them use, with the realm's keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx2

from pulse_common.clients import DEFAULT_CLIENTS
from pulse_common.jwt import Jwks, JwtVerifier

if TYPE_CHECKING:
    from tests.identity.provider import Provider

    from pulse_common.identity import Principal
    from pulse_common.jwt import IdClaims, LogoutClaims


def verify(provider: Provider, token: str) -> Principal:
    async def run() -> Principal:
        async with httpx2.AsyncClient() as http:
            return await _verifier(provider, http).verify(token)

    return asyncio.run(run())


def verify_id(provider: Provider, token: str, nonce: str) -> IdClaims:
    async def run() -> IdClaims:
        async with httpx2.AsyncClient() as http:
            return await _verifier(provider, http).verify_id_token(token, nonce, "pulse-ui")

    return asyncio.run(run())


def verify_logout(provider: Provider, token: str) -> LogoutClaims:
    async def run() -> LogoutClaims:
        async with httpx2.AsyncClient() as http:
            return await _verifier(provider, http).verify_logout_token(token, "pulse-ui")

    return asyncio.run(run())


def _verifier(provider: Provider, http: httpx2.AsyncClient) -> JwtVerifier:
    return JwtVerifier(
        issuer=provider.issuer,
        audience="pulse-api",
        azp=DEFAULT_CLIENTS,
        jwks=Jwks(oidc_internal_url=provider.issuer, http=http),
    )
