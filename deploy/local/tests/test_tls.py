"""The development CA: a browser that trusts it trusts this machine's names, and only those."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from pulse_local.tls import TlsFiles, ensure_tls_files

if TYPE_CHECKING:
    from pathlib import Path

TODAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_second_run_keeps_ca_and_certificate(tmp_path: Path) -> None:
    first = ensure_tls_files(tmp_path, TODAY)
    before = (first.ca.read_bytes(), first.certificate.read_bytes())

    again = ensure_tls_files(tmp_path, TODAY + timedelta(days=300))

    assert (again.ca.read_bytes(), again.certificate.read_bytes()) == before


def test_certificate_is_renewed_before_it_expires_and_the_ca_stays(tmp_path: Path) -> None:
    first = ensure_tls_files(tmp_path, TODAY)
    before = (first.ca.read_bytes(), first.certificate.read_bytes())

    again = ensure_tls_files(tmp_path, TODAY + timedelta(days=340))

    assert again.ca.read_bytes() == before[0]
    assert again.certificate.read_bytes() != before[1]


def test_expired_ca_is_replaced_with_the_certificate_that_it_signed(tmp_path: Path) -> None:
    ensure_tls_files(tmp_path, TODAY)

    later = TODAY + timedelta(days=5 * 365)
    again = ensure_tls_files(tmp_path, later)

    ca, leaf = (
        x509.load_pem_x509_certificate(p.read_bytes()) for p in (again.ca, again.certificate)
    )
    leaf.verify_directly_issued_by(ca)
    assert leaf.not_valid_before_utc < later < leaf.not_valid_after_utc


def test_damaged_certificate_is_replaced(tmp_path: Path) -> None:
    files = ensure_tls_files(tmp_path, TODAY)
    files.certificate.write_bytes(b"half a file")

    again = ensure_tls_files(tmp_path, TODAY)

    x509.load_pem_x509_certificate(again.certificate.read_bytes())


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    files = ensure_tls_files(tmp_path, TODAY)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in (files.key, files.ca_key)}
    assert modes == {0o600}


def test_ca_vouches_for_this_machine_only(tmp_path: Path) -> None:
    files = ensure_tls_files(tmp_path, TODAY)

    ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
    constraints = ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert x509.DNSName("localhost") in (constraints.value.permitted_subtrees or [])


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_client_that_trusts_the_ca_accepts_this_machines_names(tmp_path: Path, name: str) -> None:
    files = ensure_tls_files(tmp_path, datetime.now(UTC))  # noqa: TID251 - OpenSSL takes the real time

    assert _handshake(files, name) == "TLSv1.3"


def test_client_refuses_another_name(tmp_path: Path) -> None:
    files = ensure_tls_files(tmp_path, datetime.now(UTC))  # noqa: TID251 - OpenSSL takes the real time

    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(files, "example.org")


def _handshake(files: TlsFiles, name: str) -> str | None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certificate, files.key)
    client = ssl.create_default_context(cafile=files.ca)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(far, server_side=True).close()
        except OSError:
            far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(near, server_hostname=name) as wrapped:
            return wrapped.version()
    finally:
        near.close()
        thread.join()
