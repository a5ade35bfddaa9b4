"""Read the request, run one use case, answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from starlette.responses import Response

from provision_api import domain, shapes
from provision_api.administrators import Administrators
from provision_api.enrolment import Caller
from provision_api.fleet.door import FleetDoor
from provision_api.fleet.enrolling import FleetEnrolment
from provision_api.presented import presented
from provision_api.reenrolment import Reenrolment
from provision_api.rescue import Rescue
from provision_api.rescue_door import RescueDoor
from provision_api.transfer_calls import TransferCalls
from provision_api.transfers import Transfers
from pulse_common import events
from pulse_common.client_address import client_address
from pulse_common.errors import Forbidden, Malformed
from pulse_common.http import parse_model, read_body, read_model
from pulse_common.identity import TenantId
from pulse_common.ids import parse_id

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.requests import Request

    from provision_api.administrators import OnRefusedCall
    from provision_api.enrolment import Enrolled, Enrolment
    from provision_api.renaming import Renaming
    from pulse_common.client_address import Network
    from pulse_common.identity import Principal, TokenVerifier


@dataclass(frozen=True, slots=True)
class Provisioning:
    enrolment: Enrolment
    renaming: Renaming
    verifier: TokenVerifier
    broker: shapes.Broker
    on_refused_call: OnRefusedCall
    trusted_proxies: tuple[Network, ...] = ()
    certificate_proxies: tuple[Network, ...] = ()
    """Whose word about TLS client certificates counts."""

    @property
    def transfer_calls(self) -> TransferCalls:
        made = self.enrolment
        transfers = Transfers(db=made.db, enrolment=made, clock=made.clock)
        return TransferCalls(transfers, self.administrators)

    @property
    def rescue_door(self) -> RescueDoor:
        made = self.enrolment
        return RescueDoor(
            rescue=Rescue(db=made.db, bus=made.bus, clock=made.clock),
            administrators=self.administrators,
            broker=self.broker,
            trusted_proxies=self.trusted_proxies,
        )

    @property
    def administrators(self) -> Administrators:
        return Administrators(self.verifier, self.on_refused_call)

    @property
    def fleet(self) -> FleetDoor:
        return FleetDoor(
            enrolment=FleetEnrolment(self.enrolment),
            broker=self.broker,
            trusted_proxies=self.trusted_proxies,
            certificate_proxies=self.certificate_proxies,
        )

    @property
    def reenrolment(self) -> Reenrolment:
        made = self.enrolment
        return Reenrolment(db=made.db, bus=made.bus, clock=made.clock)

    async def put_tenant(self, request: Request, principal: Principal) -> Response:
        tenant = TenantId(parse_id(request.path_params["tenant_id"], "tenant_id"))
        body = await read_model(request, shapes.TenantBody)
        found, is_new = await self.enrolment.create_tenant(
            tenant, body.name, self._caller(request, principal)
        )
        answer = shapes.TenantAnswer(id=found.tenant_id, name=found.name, status=found.status)
        return _json(answer, 201 if is_new else 200)

    async def post_device(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, shapes.DeviceBody)
        tenant = _tenant_of(principal, body.tenant_id)
        profile = None if body.profile_id is None else parse_id(body.profile_id, "profile_id")
        device = await self.enrolment.create_device(
            tenant, body.name, self._caller(request, principal), profile
        )
        answer = shapes.DeviceAnswer(
            id=device.device_id,
            tenant_id=device.tenant_id,
            name=device.name,
            status=device.status,
            created_at=device.created_at,
        )
        return _json(answer, 201)

    async def post_token(self, request: Request, principal: Principal) -> Response:
        device_id = parse_id(request.path_params["device_id"], "device_id")
        raw = await read_body(request)
        body = parse_model(raw, shapes.TokenBody) if raw else shapes.TokenBody()
        tenant = _tenant_of(principal, body.tenant_id)
        minted = await self.enrolment.mint_token(
            tenant, device_id, body.expires_in_seconds, self._caller(request, principal)
        )
        return _json(shapes.TokenAnswer(token=minted.token, expires_at=minted.expires_at), 201)

    async def enrol(self, request: Request) -> Response:
        body = await read_model(request, shapes.EnrolBody)
        caller = Caller(kind="device", id="enrolment-token", address=self._address(request))
        enrolled = await self.enrolment.enrol(body.token, body.csr, caller)
        return self._enrolled(enrolled)

    async def renew(self, request: Request) -> Response:
        shown = presented(request, self.certificate_proxies)
        body = await read_model(request, shapes.RenewBody)
        enrolled = await self.reenrolment.renew(
            shown, body.csr, label=None, request_id=_request_id()
        )
        return self._enrolled(enrolled)

    async def trust(self, request: Request) -> Response:
        shown = presented(request, self.certificate_proxies)
        body = await read_model(request, shapes.TrustBody)
        reply = await self.reenrolment.trust(shown, tuple(body.held))
        answer = shapes.TrustAnswer(
            authorities=reply.authorities_pem, renew_in_seconds=reply.renew_in_seconds
        )
        return _json(answer, 200)

    def _enrolled(self, enrolled: Enrolled) -> Response:
        return _json(shapes.enrolled(enrolled, self.broker), 201)

    async def answer_create_device(
        self, request: events.CreateDeviceRequest
    ) -> events.CreateDeviceReply:
        """The same as the HTTP door, for ui_iot: the person's own token decides, not the caller."""
        tenant, caller = await self.administrators.of(request)
        device, minted = await self.enrolment.create_device_with_token(
            tenant, request.name, caller, request.device_id, request.profile_id
        )
        return events.CreateDeviceReply(
            device_id=device.device_id,
            name=device.name,
            token=minted.token,
            expires_at=minted.expires_at,
            created_at=device.created_at,
        )

    async def answer_rename_device(
        self, request: events.RenameDeviceRequest
    ) -> events.RenameDeviceReply:
        tenant, caller = await self.administrators.of(request)
        device = await self.renaming.rename(
            tenant, request.device_id, request.name, request.version, caller
        )
        return events.RenameDeviceReply(
            device_id=device.device_id, name=device.name, version=device.version
        )

    async def answer_mint_token(self, request: events.MintTokenRequest) -> events.MintTokenReply:
        tenant, caller = await self.administrators.of(request)
        minted = await self.enrolment.mint_token(tenant, request.device_id, None, caller)
        return events.MintTokenReply(token=minted.token, expires_at=minted.expires_at)

    def _caller(self, request: Request, principal: Principal) -> Caller:
        return Caller(
            kind="operator" if domain.PLATFORM_ADMIN in principal.roles else "user",
            id=principal.subject,
            address=self._address(request),
            request_id=_request_id(),
        )

    def _address(self, request: Request) -> str | None:
        return client_address(request, self.trusted_proxies)


def _tenant_of(principal: Principal, named: str | None) -> TenantId:
    """Return whose devices the caller works on: the admin key must say, a person never may."""
    if domain.PLATFORM_ADMIN in principal.roles:
        if named is None:
            raise Malformed("tenant_id is required with the admin key")
        return TenantId(parse_id(named, "tenant_id"))
    if named is not None:
        raise Malformed("tenant_id comes from your access token")
    if principal.tenant is None:
        raise Forbidden("your account belongs to no tenant")
    return principal.tenant


def _request_id() -> str | None:
    found: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return found


def _json(answer: BaseModel, status: int) -> Response:
    # Tokens and certificates have no business in a cache.
    headers = {"cache-control": "no-store"}
    return Response(answer.model_dump_json(), status, headers, media_type="application/json")
