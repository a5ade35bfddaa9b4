"""The real services behind the real edge: what stays inside, what goes out in the clear, and which headers go along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest
from cryptography import x509
from deploy.local.tests.edge_client import Edge, http1, http2_status, status_of
from deploy.local.tests.test_caddyfile import TRICKY
from tests.integration.people import edge_client
from tests.integration.waiting import eventually

from pulse_local.seed import ACME

if TYPE_CHECKING:
    from tests.integration.people import Person
    from tests.integration.world import World

    from pulse_local.stack import Stack

pytestmark = pytest.mark.integration

INSIDE = [
    f"{prefix}/{name}"
    for name in ("metrics", "readyz", "healthz")
    for prefix in ("", "/api/v1/provision", "/webhooks/stripe", "/realms/pulse", "/pki", "/static")
]
SPELLINGS = [
    "/HEALTHZ",
    "/healthz/",
    "/Metrics?x=1",
    "/readyz/.",
    "/%6detrics",
    "/devices/../healthz",
]
WORDS = (b"python_info", b"# HELP", b'"ready"', b"\r\n\r\nok")


@pytest.fixture
def edge(stack: Stack) -> Edge:
    port = stack.ports.edge_https
    return Edge(port=port, ca=stack.tls.ca, host=f"localhost:{port}")


@pytest.mark.parametrize("target", TRICKY)
def test_brokers_door_is_shut_also_for_who_knows_its_secret(
    stack: Stack, edge: Edge, target: str
) -> None:
    lines = [
        f"Authorization: Bearer {stack.secrets.mqtt_auth}",
        "Content-Type: application/json",
        "Content-Length: 2",
    ]

    answers = [http1(edge, target, method="POST", lines=lines, body=b"{}"), http1(edge, target)]

    assert {status_of(answer) for answer in answers} <= {400, 404}
    assert http2_status(edge, target) in {0, 400, 404}


@pytest.mark.parametrize("target", [*INSIDE, *SPELLINGS])
def test_probes_and_numbers_of_no_service_are_shown_outside(
    stack: Stack, edge: Edge, target: str
) -> None:
    secure = http1(edge, target)
    plain = httpx2.get(f"http://127.0.0.1:{stack.ports.edge_http}{target}", trust_env=False)

    assert status_of(secure) in {400, 401, 404, 405}
    assert plain.status_code in {308, 400, 404}
    assert not any(word in secure + plain.content for word in WORDS)


def test_pages_carry_their_security_headers(alice: Person, stack: Stack) -> None:
    with edge_client(stack.environments) as stranger:
        pages = [
            stranger.get("/"),
            alice.browser.get("/devices"),
            alice.api.get("/devices/nothing"),
        ]

    for page in pages:
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "same-origin"
        assert "server" not in page.headers
    assert pages[1].headers["cache-control"] == "no-store"


def test_plain_http_leads_to_https(stack: Stack) -> None:
    answer = httpx2.get(f"http://localhost:{stack.ports.edge_http}/devices", trust_env=False)

    assert (answer.status_code, answer.headers["location"]) == (308, f"{stack.url}/devices")


def test_revoked_certificate_is_on_the_list_within_seconds_over_plain_http(
    world: World, alice: Person
) -> None:
    device = world.enrol(ACME, "Stolen device")
    leaf, issuer, _ = x509.load_pem_x509_certificates(
        (device.folder / "certificate.pem").read_bytes()
        + (device.folder / "chain.pem").read_bytes()
    )[:3]
    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    names = points[0].full_name
    assert names
    address = names[0].value
    before = _revocation_list(address)

    revoked = alice.api.post(
        f"/api/v2/devices/{device.device_id}/revoke", json={"reason": "keyCompromise"}
    )

    assert revoked.status_code == 200
    assert before.get_revoked_certificate_by_serial_number(leaf.serial_number) is None
    entry = eventually(
        lambda: _revocation_list(address).get_revoked_certificate_by_serial_number(
            leaf.serial_number
        ),
        "the serial number on the revocation list",
        seconds=5,
    )
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.key_compromise
    issuer_key = issuer.public_key()
    assert _revocation_list(address).is_signature_valid(issuer_key)  # type: ignore[arg-type]  # an EC key


def _revocation_list(address: str) -> x509.CertificateRevocationList:
    assert address.startswith("http://")
    answer = httpx2.get(address, trust_env=False)
    assert answer.status_code == 200
    load = x509.load_pem_x509_crl if answer.content[:5] == b"-----" else x509.load_der_x509_crl
    return load(answer.content)
