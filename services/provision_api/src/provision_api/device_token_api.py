"""The HTTP surface of device tokens: for a tenant's administrators; the admin key opens none of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from pydantic import BaseModel
from starlette.responses import Response

from provision_api.enrolment import Caller
from provision_api.shapes import Body
from pulse_common.client_address import client_address
from pulse_common.errors import Forbidden, Malformed
from pulse_common.http import Endpoint, Guarded, parse_model, read_body, read_model
from pulse_common.identity import Role, TenantId
from pulse_common.ids import parse_id
from pulse_common.ratelimit import Limit

if TYPE_CHECKING:
    from starlette.requests import Request

    from provision_api.device_tokens import DeviceTokens
    from pulse_common.client_address import Network
    from pulse_common.identity import Principal

PATH = "/api/v1/provision/devices/{device_id}/device-tokens"
LONGEST_KEY = 200
_ADMINISTRATORS = frozenset({Role.TENANT_ADMIN})
_NO_STORE = {"cache-control": "no-store"}


class PermitBody(Body):
    allowed: bool


class MintBody(Body):
    expires_in_seconds: int | None = None


class MintedAnswer(BaseModel):
    """The only time that the token is shown, with the names to show beside it."""

    id: UUID
    token: str
    client_id: UUID
    username: str
    expires_at: datetime


class TokenRow(BaseModel):
    id: UUID
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None


class TokenList(BaseModel):
    items: list[TokenRow]


@dataclass(frozen=True, slots=True)
class DeviceTokenApi:
    tokens: DeviceTokens
    trusted_proxies: tuple[Network, ...] = ()

    def endpoints(self, per_minute: int) -> list[Endpoint]:
        limit = Limit(
            name="provision-device-tokens",
            amount=per_minute,
            seconds=60,
            per="address",
            when_store_is_down="deny",
        )
        return [
            Guarded(
                method="PUT",
                path=PATH,
                roles=_ADMINISTRATORS,
                handler=self.put_permit,
                limits=(limit,),
            ),
            Guarded(
                method="POST", path=PATH, roles=_ADMINISTRATORS, handler=self.post, limits=(limit,)
            ),
            Guarded(
                method="GET", path=PATH, roles=_ADMINISTRATORS, handler=self.get, limits=(limit,)
            ),
            Guarded(
                method="DELETE",
                path=PATH + "/{token_id}",
                roles=_ADMINISTRATORS,
                handler=self.delete,
                limits=(limit,),
            ),
        ]

    async def put_permit(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, PermitBody)
        await self.tokens.permit(
            _tenant(principal),
            _id(request, "device_id"),
            self._caller(request, principal),
            allowed=body.allowed,
        )
        return Response(status_code=204)

    async def post(self, request: Request, principal: Principal) -> Response:
        raw = await read_body(request)
        body = parse_model(raw, MintBody) if raw else MintBody()
        tenant, device_id = _tenant(principal), _id(request, "device_id")
        minted = await self.tokens.mint(
            tenant,
            device_id,
            body.expires_in_seconds,
            self._caller(request, principal),
            _key(request),
        )
        answer = MintedAnswer(
            id=minted.token_id,
            token=minted.text,
            client_id=device_id,
            username=f"{tenant}/{device_id}",
            expires_at=minted.expires_at,
        )
        return _json(answer, 201)

    async def get(self, request: Request, principal: Principal) -> Response:
        found = await self.tokens.list_all(_tenant(principal), _id(request, "device_id"))
        rows = [
            TokenRow(
                id=token.token_id,
                created_at=token.created_at,
                created_by=token.created_by,
                expires_at=token.expires_at,
                revoked_at=token.revoked_at,
            )
            for token in found
        ]
        return _json(TokenList(items=rows), 200)

    async def delete(self, request: Request, principal: Principal) -> Response:
        await self.tokens.revoke(
            _tenant(principal),
            _id(request, "device_id"),
            _id(request, "token_id"),
            self._caller(request, principal),
        )
        return Response(status_code=204)

    def _caller(self, request: Request, principal: Principal) -> Caller:
        return Caller(
            kind="user",
            id=principal.subject,
            address=client_address(request, self.trusted_proxies),
            request_id=structlog.contextvars.get_contextvars().get("request_id"),
        )


def _tenant(principal: Principal) -> TenantId:
    if principal.tenant is None:
        raise Forbidden("your account belongs to no tenant")
    return principal.tenant


def _id(request: Request, name: str) -> UUID:
    return parse_id(request.path_params[name], name)


def _key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        raise Malformed(f"Idempotency-Key must have 1 to {LONGEST_KEY} characters")
    return key


def _json(answer: BaseModel, status: int) -> Response:
    return Response(answer.model_dump_json(), status, _NO_STORE, media_type="application/json")
