"""EST: read the request, run the same use cases as behind the JSON doors, answer in EST's own forms."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from provision_api import est
from provision_api.domain import EST_LABEL, not_valid
from provision_api.enrolment import Caller
from provision_api.fleet.door import basic
from provision_api.fleet.enrolling import Held
from provision_api.fleet.rules import read_label
from provision_api.presented import has_certificate, presented
from pulse_common import events
from pulse_common.client_address import client_address
from pulse_common.errors import Malformed, NotFound, NotOffered, Unauthenticated, Unavailable
from pulse_common.http import problem, read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.requests import Request

    from provision_api.enrolment import Enrolment
    from provision_api.fleet.door import FleetDoor
    from provision_api.fleet.rules import Label
    from provision_api.reenrolment import Reenrolment
    from pulse_common.bus import Bus
    from pulse_common.client_address import Network

LARGEST_BYTES = 16 * 1024
RETRY_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Est:
    enrolment: Enrolment
    reenrolment: Reenrolment
    fleet: FleetDoor
    bus: Bus
    trusted_proxies: tuple[Network, ...] = ()
    certificate_proxies: tuple[Network, ...] = ()

    async def cacerts(self, request: Request) -> Response:
        return await _answered(self._authorities(request))

    async def csrattrs(self, request: Request) -> Response:
        return await _answered(self._attributes(request))

    async def simpleenroll(self, request: Request) -> Response:
        return await _answered(self._enrol(request))

    async def simplereenroll(self, request: Request) -> Response:
        return await _answered(self._reenrol(request))

    async def not_offered(self, _: Request) -> Response:
        raise NotOffered("this EST service offers no fullcmc and makes no keys for clients")

    async def _authorities(self, request: Request) -> Response:
        if has_certificate(request):
            # After a renewal, a client that comes back with its new certificate says that it has it.
            await self._note_use(request)
        reply = await self._ask_about(_label(request))
        return _encoded(est.certificates_only(reply.chain_pem), est.CERTIFICATES)

    async def _attributes(self, request: Request) -> Response:
        reply = await self._ask_about(_label(request))
        return _encoded(est.in_base64(est.attributes(reply.key_types)), est.ATTRIBUTES)

    async def _ask_about(self, label: str) -> events.AuthoritiesReply:
        profile = await self.fleet.certificate_profile(label) or label
        asked = events.AuthoritiesRequest(profile=profile)
        return await self.bus.call(asked, events.AuthoritiesReply)

    async def _note_use(self, request: Request) -> None:
        with contextlib.suppress(Unauthenticated):
            await self.reenrolment.note_use(presented(request, self.certificate_proxies))

    async def _enrol(self, request: Request) -> Response:
        """The enrolment token is the password of HTTP Basic; the user name means nothing.

        A label of an enrolment profile takes what its fleet shows instead.
        """
        label = read_label(_label(request))
        if label is not None:
            return await self._enrol_of_fleet(request, label)
        token = _password(request)
        csr = await _read_request(request)
        address = client_address(request, self.trusted_proxies)
        caller = Caller(kind="device", id="enrolment-token", address=address)
        enrolled = await self.enrolment.enrol(token, csr, caller, label=_label(request))
        return _issued(enrolled.signed)

    async def _enrol_of_fleet(self, request: Request, label: Label) -> Response:
        csr = await _read_request(request)
        answer = await self.fleet.enrol_by_est(request, label, csr)
        if isinstance(answer, Held):
            headers = {"retry-after": str(answer.seconds), "cache-control": "no-store"}
            text = "Somebody has to approve it first: ask again, with the same key."
            return Response(text, 202, headers, media_type="text/plain")
        return _issued(answer.signed)

    async def _reenrol(self, request: Request) -> Response:
        shown = presented(request, self.certificate_proxies)
        csr = await _read_request(request)
        label: str | None = _label(request)
        fleet = read_label(_label(request))
        if fleet is not None:
            label = await self.fleet.certificate_profile(_label(request))
            if label is None or fleet.tenant != shown.tenant:
                raise NotFound("there is no such label")
        enrolled = await self.reenrolment.renew(shown, csr, label=label, request_id=None)
        return _issued(enrolled.signed)


def _label(request: Request) -> str:
    return str(request.path_params.get("profile", EST_LABEL))


async def _read_request(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != est.REQUEST:
        raise Malformed(f"the content type must be {est.REQUEST}")
    return est.read_request(await read_body(request, LARGEST_BYTES))


def _password(request: Request) -> str:
    found = basic(request)
    if found is None:
        raise not_valid()
    return found[1]


def _issued(signed: events.SignReply) -> Response:
    return _encoded(est.certificates_only(signed.certificate_pem), est.CERTS_ONLY)


def _encoded(body: bytes, media_type: str) -> Response:
    headers = {
        "content-type": media_type,  # as it is: no charset goes with it
        "content-transfer-encoding": "base64",
        "cache-control": "no-store",
    }
    return Response(body, 200, headers)


async def _answered(work: Awaitable[Response]) -> Response:
    """Say how to authenticate, or when to come back, in the headers that EST clients read."""
    try:
        return await work
    except Unauthenticated as error:
        answer: Response = problem(error)
        answer.headers["www-authenticate"] = 'Basic realm="pulse-est"'
        return answer
    except Unavailable as error:
        answer = problem(error)
        answer.headers["retry-after"] = str(RETRY_SECONDS)
        return answer
