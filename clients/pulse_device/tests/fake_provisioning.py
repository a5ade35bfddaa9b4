"""A provisioning server of our own: real HTTP over real TLS, on a random port."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from clients.pulse_device.tests.pki import DEVICE, NAME, TENANT, Ca, pem
from cryptography import x509

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

Answer = tuple[int, dict[str, object]]


class FakeProvisioning:
    """Issues what `issue` makes of the request's key; `refuse_with` answers instead when set."""

    def __init__(self, tls: ssl.SSLContext, *, devices: Ca, broker_ca: Ca) -> None:
        self._issuing = devices.issuing()
        self.chain = [self._issuing.certificate, devices.certificate]
        self.broker_ca = broker_ca
        self.broker_port = 8883
        self.issue: Callable[[Ca, CertificatePublicKeyTypes], x509.Certificate] = _issue
        self.refuse_with: Answer | None = None
        self.change: dict[str, object] = {}
        self.requests: list[dict[str, str]] = []
        self.location: str | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                status, content = outer.answer(self.path, self.rfile.read(length))
                body = json.dumps(content).encode()
                self.send_response(status)
                if outer.location is not None:
                    self.send_header("location", outer.location)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            def handle_error(self, *arguments: object) -> None:
                """A client that refuses our certificate is what some tests want."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"https://localhost:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str, body: bytes) -> Answer:
        if path.removeprefix("/api/v1/provision/") not in {"enroll", "fleet/enroll", "rescue"}:
            return 404, {"detail": "no such page"}
        request = json.loads(body)
        self.requests.append(request)
        if self.refuse_with is not None:
            return self.refuse_with
        csr = x509.load_pem_x509_csr(request["csr"].encode())
        if not csr.is_signature_valid:
            return 400, {"detail": "the request is not signed by its key"}
        leaf = self.issue(self._issuing, csr.public_key())
        answer: dict[str, object] = {
            "tenant_id": TENANT,
            "device_id": DEVICE,
            "certificate": pem(leaf).decode(),
            "chain": pem(*self.chain).decode(),
            "serial_number": f"{leaf.serial_number:x}",
            "not_after": leaf.not_valid_after_utc.isoformat(),
            "mqtt": {
                "host": "localhost",
                "port": self.broker_port,
                "ca_certificates": pem(self.broker_ca.certificate).decode(),
            },
        }
        return 201, answer | self.change


def _issue(issuer: Ca, public_key: CertificatePublicKeyTypes) -> x509.Certificate:
    return issuer.device(public_key, name=NAME)
