"""An identity provider in memory: real signed tokens, codes that work once, refresh tokens that rotate."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx2

from pulse_common.testing import tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulse_common.clock import Clock

Mood = Literal["well", "away", "refusing", "misconfigured", "broken"]
LIFE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code stands for: the log-in that it answers and who logged in."""

    challenge: str
    nonce: str
    claims: Mapping[str, object]


@dataclass
class FakeProvider:
    """Answers the token endpoint in its ``mood``; ``asked`` keeps every form that it was sent."""

    clock: Clock
    issuer: tokens.Issuer
    mood: Mood = "well"
    seconds: float = 0.0
    """How long an answer takes."""
    asked: list[dict[str, str]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    codes: dict[str, Grant] = field(default_factory=dict)
    refresh_tokens: dict[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def refreshes(self) -> int:
        return sum(form.get("grant_type") == "refresh_token" for form in self.asked)

    def approve(self, login_url: str, claims: Mapping[str, object]) -> str:
        """Log a person in at ``login_url`` and return the query that the browser brings back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(login_url).query).items()}
        code = str(uuid4())
        self.codes[code] = Grant(query["code_challenge"], query["nonce"], claims)
        return f"state={query['state']}&code={code}&iss={tokens.ISSUER}"

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        self.asked.append(form)
        self.authorizations.append(request.headers["authorization"])
        await asyncio.sleep(self.seconds)
        if request.url.path.endswith("/revoke"):
            self.revoked.append(form["token"])
            self.refresh_tokens.pop(form["token"], None)
            return httpx2.Response(200 if self.mood == "well" else 503)
        match self.mood:
            case "away":
                raise httpx2.ConnectError("nobody listens")
            case "refusing":
                return _refusal(400, "invalid_grant")
            case "misconfigured":
                return _refusal(401, "invalid_client")
            case "broken":
                return httpx2.Response(200, text="<html>hello</html>")
            case "well":
                return self._tokens(form)

    def _tokens(self, form: dict[str, str]) -> httpx2.Response:
        if form["grant_type"] == "refresh_token":
            claims = self.refresh_tokens.pop(form["refresh_token"], None)
            return _refusal(400, "invalid_grant") if claims is None else self._answer(claims, None)
        grant = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if grant is None or grant.challenge != proof:
            return _refusal(400, "invalid_grant")
        # A refresh does not change when the person proved who they are.
        logged_in = {"auth_time": int(self.clock().timestamp()), **grant.claims}
        return self._answer(logged_in, grant.nonce)

    def _answer(self, claims: Mapping[str, object], nonce: str | None) -> httpx2.Response:
        now = dataclasses.replace(self.issuer, now=self.clock())
        refresh_token = str(uuid4())
        self.refresh_tokens[refresh_token] = claims
        id_claims = {"typ": "ID", "aud": tokens.CLIENT, "nonce": nonce or ...}
        # What a test says about the ID token alone is prefixed.
        changed = {k.removeprefix("id_"): v for k, v in claims.items() if k.startswith("id_")}
        common = {k: v for k, v in claims.items() if not k.startswith("id_")}
        body = {
            "access_token": now.token(jti=str(uuid4()), **common),
            "refresh_token": refresh_token,
            "id_token": now.token(**(common | id_claims | changed)),
            "expires_in": LIFE_SECONDS,
        }
        return httpx2.Response(200, content=json.dumps(body))


def _refusal(status: int, error: str) -> httpx2.Response:
    return httpx2.Response(status, content=json.dumps({"error": error}))
