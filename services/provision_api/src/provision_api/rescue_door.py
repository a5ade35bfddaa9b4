"""Where rescues are asked for: by devices over HTTPS without a TLS client certificate, by administrators over NATS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import Field
from starlette.responses import Response

from provision_api import shapes
from provision_api.enrolment import Caller
from provision_api.presented import named
from provision_api.shapes import MOST_CSR_BYTES, Body
from pulse_common.client_address import client_address
from pulse_common.errors import Malformed
from pulse_common.events_rescue import (
    CloseRescueRequest,
    OpenRescueRequest,
    RescueClosed,
    RescueReply,
)
from pulse_common.http import read_model

if TYPE_CHECKING:
    from starlette.requests import Request

    from provision_api.administrators import Administrators
    from provision_api.presented import Presented
    from provision_api.rescue import Rescue
    from provision_api.shapes import Broker
    from pulse_common.bus import Bus
    from pulse_common.client_address import Network


class RescueBody(Body):
    """The certificate that has expired, and a request for its key, both PEM."""

    certificate: str = Field(max_length=MOST_CSR_BYTES)
    csr: str = Field(max_length=MOST_CSR_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueDoor:
    rescue: Rescue
    administrators: Administrators
    broker: Broker
    trusted_proxies: tuple[Network, ...] = ()

    async def listen(self, bus: Bus) -> None:
        await bus.answer(OpenRescueRequest, self.open)
        await bus.answer(CloseRescueRequest, self.close)

    async def post(self, request: Request) -> Response:
        body = await read_model(request, RescueBody)
        shown = _same_key(body)
        caller = Caller(
            kind="device",
            id=str(shown.device_id),
            address=client_address(request, self.trusted_proxies),
        )
        enrolled = await self.rescue.rescue(shown, body.csr, caller)
        answer = shapes.enrolled(enrolled, self.broker)
        return Response(answer.model_dump_json(), 201, media_type="application/json")

    async def open(self, asked: OpenRescueRequest) -> RescueReply:
        tenant, caller = await self.administrators.of(asked)
        return await self.rescue.open(tenant, asked.device_id, asked.seconds, caller)

    async def close(self, asked: CloseRescueRequest) -> RescueClosed:
        tenant, caller = await self.administrators.of(asked)
        return RescueClosed(closed=await self.rescue.close(tenant, asked.device_id, caller))


def _same_key(body: RescueBody) -> Presented:
    """Say which device the certificate names, if the request is for its key and signed by it.

    Whether it is one of ours, byte for byte, is for the database to say.

    Raises:
        Malformed: one of them cannot be read, or the keys differ.
        Unauthenticated: the certificate names no device.
    """
    try:
        certificate = x509.load_pem_x509_certificate(body.certificate.encode())
        request = x509.load_pem_x509_csr(body.csr.encode())
        keys = {
            key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            for key in (certificate.public_key(), request.public_key())
        }
        proven = len(keys) == 1 and request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise Malformed("the certificate or the request cannot be read") from None
    if not proven:
        raise Malformed("the request must be for the certificate's key, and signed by it")
    return named(certificate)
