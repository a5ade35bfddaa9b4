"""The doors of fleet enrolment: read what a device shows, run the use case, say when to come back."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from cryptography import x509
from cryptography.x509.oid import NameOID
from starlette.responses import Response

from provision_api import presented, shapes
from provision_api.domain import not_valid
from provision_api.enrolment import Caller
from provision_api.fleet import claim_store
from provision_api.fleet.enrolling import ByClaim, ByMakerKey, BySecret, Held
from provision_api.fleet.rules import read_label
from pulse_common.client_address import client_address
from pulse_common.errors import Malformed, NotFound
from pulse_common.http import read_model

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.requests import Request

    from provision_api.enrolment import Enrolled
    from provision_api.fleet.enrolling import Credential, FleetEnrolment
    from provision_api.fleet.rules import Label
    from pulse_common.client_address import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDoor:
    enrolment: FleetEnrolment
    broker: shapes.Broker
    trusted_proxies: tuple[Network, ...] = ()
    certificate_proxies: tuple[Network, ...] = ()

    async def enrol(self, request: Request) -> Response:
        body = await read_model(request, shapes.FleetBody)
        shown = self._shown(request, body)
        answer = await self.enrolment.enrol(shown, body.csr, self._caller(request, shown))
        if isinstance(answer, Held):
            held = _json(shapes.HeldAnswer(retry_after_seconds=answer.seconds), 202)
            held.headers["retry-after"] = str(answer.seconds)
            return held
        return _json(shapes.enrolled(answer, self.broker), 201)

    async def enrol_by_est(self, request: Request, label: Label, csr_pem: str) -> Enrolled | Held:
        """As ``enrol``; the hardware id is HTTP Basic's user name, or the serial number in the CSR's subject."""
        named = basic(request)
        shown: Credential
        if named is not None:
            shown = BySecret(secret=named[1], hardware_id=named[0])
        elif presented.has_certificate(request):
            claim = presented.presented_claim(request, self.certificate_proxies)
            shown = ByClaim(claim.tenant, claim.fingerprint, _hardware_id_of(csr_pem))
        else:
            shown = ByMakerKey(label, _hardware_id_of(csr_pem))
        return await self.enrolment.enrol(shown, csr_pem, self._caller(request, shown), label)

    async def certificate_profile(self, text: str) -> str | None:
        """Return the certificate profile behind an EST label; None when the label names no enrolment profile.

        Raises:
            NotFound: it looks like one of ours and is none.
        """
        label = read_label(text)
        if label is None:
            return None
        async with self.enrolment.enrolment.db.tenant_connection(label.tenant) as tx:
            found = await claim_store.find_label(tx, label.label)
        if found is None:
            raise NotFound("there is no such label")
        return found.certificate_profile

    def _shown(self, request: Request, body: shapes.FleetBody) -> Credential:
        if body.secret is not None:
            return BySecret(secret=body.secret, hardware_id=body.hardware_id)
        if body.label is not None:
            label = read_label(body.label)
            if label is None:
                raise Malformed("label must be a tenant's id, a dot and a name")
            return ByMakerKey(label, body.hardware_id)
        claim = presented.presented_claim(request, self.certificate_proxies)
        return ByClaim(claim.tenant, claim.fingerprint, body.hardware_id)

    def _caller(self, request: Request, shown: Credential) -> Caller:
        by = "claim-certificate" if isinstance(shown, ByClaim) else "hardware-id"
        found = structlog.contextvars.get_contextvars().get("request_id")
        return Caller(
            kind="device",
            id=by,
            address=client_address(request, self.trusted_proxies),
            request_id=None if found is None else str(found),
        )


def basic(request: Request) -> tuple[str, str] | None:
    """Return user name and password of HTTP Basic (RFC 7617); None when nothing of the kind came.

    Raises:
        Unauthenticated: it came and can't be read.
    """
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise not_valid() from None
    return user, password


def _hardware_id_of(csr_pem: str) -> str:
    try:
        subject = x509.load_pem_x509_csr(csr_pem.encode()).subject
    except ValueError:
        raise Malformed("the CSR's subject can't be read") from None
    for oid in (NameOID.SERIAL_NUMBER, NameOID.COMMON_NAME):
        found = subject.get_attributes_for_oid(oid)
        if found and isinstance(found[0].value, str):
            return found[0].value
    raise Malformed("the CSR's subject must name the hardware id, as its serialNumber")


def _json(answer: BaseModel, status: int) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(answer.model_dump_json(), status, headers, media_type="application/json")
