"""Serve what the public needs to check our certificates: lists, issuers, the bundle."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding
from starlette.responses import Response

from cert_worker.domain import ShardId
from cert_worker.ocsp import LARGEST_REQUEST
from pulse_common.errors import NotFound

if TYPE_CHECKING:
    from starlette.requests import Request

    from cert_worker.authority import Authorities
    from cert_worker.crl import Crl
    from cert_worker.ocsp import Ocsp
    from cert_worker.publisher import CrlPublisher
    from cert_worker.root_lists import RootLists
    from pulse_common.clock import Clock

OCSP_RESPONSE = "application/ocsp-response"  # RFC 6960 appendix C.2
DER_CRL = "application/pkix-crl"  # RFC 2585 section 4.2
PEM_CRL = "application/x-pem-file"  # nothing is registered for it
DER_CERTIFICATE = "application/pkix-cert"  # RFC 2585 section 4.1
PEM_CHAIN = "application/pem-certificate-chain"  # RFC 8555 section 9.1
# A cache may hold a revocation back for this long, and not for longer than the list is good.
CRL_CACHE_SECONDS = 60
ROOT_LIST_CACHE_SECONDS = 60 * 60
CERTIFICATE_CACHE_SECONDS = 24 * 60 * 60
BUNDLE_CACHE_SECONDS = 5 * 60


class Pki:
    def __init__(
        self,
        *,
        authorities: Authorities,
        publisher: CrlPublisher,
        root_lists: RootLists,
        ocsp: Ocsp,
        clock: Clock,
    ) -> None:
        self._root_lists = root_lists
        self._authorities = authorities
        self._publisher = publisher
        self._ocsp = ocsp
        self._clock = clock

    async def crl_pem(self, request: Request) -> Response:
        found = self._list(request)
        return _answer(request, found.pem, PEM_CRL, self._crl_seconds(found))

    async def crl_der(self, request: Request) -> Response:
        found = self._list(request)
        return _answer(request, found.der, DER_CRL, self._crl_seconds(found))

    async def root_list(self, request: Request) -> Response:
        """The list of a root, in DER; an issuing CA's are in parts."""
        issuer = self._authorities.find(request.path_params["issuer_id"])
        found = self._root_lists.current(issuer.issuer_id) if issuer else None
        if found is None:
            raise NotFound("no such revocation list")
        left = int((found.next_update - self._clock()).total_seconds())
        return _answer(request, found.der, DER_CRL, max(0, min(ROOT_LIST_CACHE_SECONDS, left)))

    async def certificate(self, request: Request) -> Response:
        issuer = self._authorities.find(request.path_params["issuer_id"])
        if issuer is None:
            raise NotFound("no such issuer")
        der = issuer.certificate.public_bytes(Encoding.DER)
        return _answer(request, der, DER_CERTIFICATE, CERTIFICATE_CACHE_SECONDS)

    async def bundle(self, request: Request) -> Response:
        return _answer(request, self._authorities.bundle_pem, PEM_CHAIN, BUNDLE_CACHE_SECONDS)

    async def ocsp_post(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_REQUEST:
                break
        return Response(await self._ocsp.answer(body), media_type=OCSP_RESPONSE)

    async def ocsp_get(self, request: Request) -> Response:
        """RFC 6960 appendix A.1: base64 in the path, whose slashes may be encoded or not; by now they are decoded."""
        try:
            body = base64.b64decode(request.path_params["request"], validate=True)
        except ValueError:
            body = b""
        return Response(await self._ocsp.answer(body), media_type=OCSP_RESPONSE)

    def _list(self, request: Request) -> Crl:
        issuer = self._authorities.find(request.path_params["issuer_id"])
        shard = request.path_params["shard"]
        found = None
        # One spelling of each address: the certificates' own.
        if issuer is not None and shard.isascii() and shard.isdigit() and shard == f"{int(shard)}":
            found = self._publisher.current(ShardId(issuer.issuer_id, int(shard)))
        if found is None:
            raise NotFound("no such revocation list")
        return found

    def _crl_seconds(self, found: Crl) -> int:
        left = found.next_update - self._clock()
        return max(0, min(CRL_CACHE_SECONDS, int(left.total_seconds())))


def _answer(request: Request, content: bytes, media_type: str, seconds: int) -> Response:
    tag = f'"{sha256(content).hexdigest()[:32]}"'
    headers = {
        "etag": tag,
        "cache-control": f"public, max-age={seconds}, must-revalidate, no-transform",
        "x-content-type-options": "nosniff",
    }
    if _holds(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


def _holds(if_none_match: str, tag: str) -> bool:
    """Compare weakly, as RFC 9110 section 13.1.2 has it."""
    known = {given.strip().removeprefix("W/") for given in if_none_match.split(",")}
    return tag in known or "*" in known
