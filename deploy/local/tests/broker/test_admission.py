"""Who is let in, under which names, and what mqtt_authz is asked."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

if TYPE_CHECKING:
    from deploy.local.tests.broker.conftest import Rig

FIELDS = {
    "zone", "username", "clientid", "password", "peerhost", "cert_common_name", "cert_subject",
    "cert_pem",
}  # fmt: skip


def test_the_authentication_body_is_the_recorded_one(rig: Rig) -> None:
    certificate = rig.authority.issue(C="DE", O="Acme", OU="t1", CN="dev-1")
    peer = rig.peer("foo", certificate=certificate)

    code = peer.connect()

    (call,) = rig.authz.calls
    der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    assert code == 0
    assert call.headers["authorization"] == "Bearer auth-secret-of-the-test-0123456789"
    assert call.body == {
        "zone": "devices",
        "username": "dev-1",
        "clientid": "dev-1",
        "password": "",
        "peerhost": "127.0.0.1",
        "cert_common_name": "dev-1",
        "cert_subject": "CN=dev-1,OU=t1,O=Acme,C=DE",
        "cert_pem": base64.b64encode(der).decode(),
    }
    assert set(call.body) == FIELDS
