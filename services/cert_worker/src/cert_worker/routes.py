"""The whole HTTP surface of this service, on one screen: what anybody may fetch to check a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_common.http import Endpoint, Open

if TYPE_CHECKING:
    from cert_worker.handlers.pki import Pki

PUBLIC = "public by nature: whoever checks a certificate fetches it (RFC 5280 sections 4.2.1.13, 4.2.2.1)"


def endpoints(pki: Pki) -> list[Endpoint]:
    """List the endpoints; each GET answers HEAD as well."""
    return [
        Open(method="GET", path="/pki/bundle.pem", why=PUBLIC, handler=pki.bundle),
        Open(method="POST", path="/pki/ocsp", why=PUBLIC, handler=pki.ocsp_post),
        Open(method="GET", path="/pki/ocsp/{request:path}", why=PUBLIC, handler=pki.ocsp_get),
        Open(method="GET", path="/pki/{issuer_id}/{shard}.crl", why=PUBLIC, handler=pki.crl_pem),
        Open(
            method="GET", path="/pki/{issuer_id}/{shard}.crl.der", why=PUBLIC, handler=pki.crl_der
        ),
        Open(method="GET", path="/pki/{issuer_id}.crl", why=PUBLIC, handler=pki.root_list),
        Open(method="GET", path="/pki/{issuer_id}.crt", why=PUBLIC, handler=pki.certificate),
    ]
