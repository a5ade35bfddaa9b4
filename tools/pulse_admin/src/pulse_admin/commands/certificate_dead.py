"""Prove that a certificate is dead everywhere: on its revocation list, to OCSP, and at the broker.

Needs the certificate and its authority's, no access to the platform.  The broker is asked as the certificate's holder
would ask, so that takes its private key, and the device's session when the certificate turns out to live.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from pulse_admin import broker_door, ocsp_door, revocation_list_door
from pulse_admin.doors import SECONDS, Suspect
from pulse_admin.failure import AdminError
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    import argparse

    from pulse_admin.doors import Finding

GROUP = "certificate"
NAME = "dead"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificate", type=Path, help="the certificate, PEM")
    parser.add_argument(
        "--authority", type=Path, required=True, help="certificates of those who may have issued it"
    )
    parser.add_argument("--broker", help="HOST:PORT of the broker's mutual TLS; needs --key")
    parser.add_argument("--key", type=Path, help="the certificate's private key, PEM")
    parser.add_argument("--broker-ca", type=Path, help="who signed the broker's own certificate")


def run(given: argparse.Namespace) -> int:
    """Return 0 when it is dead at each door that was asked, 1 when it lives at one."""
    certificate = _read(given.certificate)[0]
    issuer = _issuer_of(certificate, _read(given.authority))
    with httpx2.Client(timeout=SECONDS, follow_redirects=False) as http:
        found = asked(Suspect(certificate, issuer, system_clock()), http)
    if given.broker:
        found.append(_at_broker(given, certificate))
    for one in found:
        print(f"{'dead ' if one.dead else 'ALIVE'}  {one.door}: {one.text}")
    if not given.broker:
        print("not asked: the broker (--broker HOST:PORT --key KEY --broker-ca CA)")
    alive = sum(not one.dead for one in found)
    print(
        f"It lives at {alive} of {len(found)} doors." if alive else f"Dead at {len(found)} doors."
    )
    return 1 if alive else 0


def asked(suspect: Suspect, http: httpx2.Client) -> list[Finding]:
    """Ask the doors that everybody may.

    Raises:
        AdminError: one could not be asked, or its answer proves nothing.
    """
    try:
        return [
            *revocation_list_door.look(suspect, http),
            *ocsp_door.ask(suspect, http),
        ]
    except httpx2.HTTPError as error:
        raise AdminError(f"a door that the certificate names cannot be reached: {error}") from error


def _at_broker(given: argparse.Namespace, certificate: x509.Certificate) -> Finding:
    host, _, port = str(given.broker).rpartition(":")
    if not host or not port.isdigit() or given.key is None or given.broker_ca is None:
        raise AdminError("--broker is HOST:PORT, with --key and --broker-ca")
    context = broker_door.holder(given.certificate, given.key, given.broker_ca)
    return broker_door.knock(certificate, context, host, int(port))


def _read(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as error:
        raise AdminError(f"{path} holds no certificate") from error


def _issuer_of(
    certificate: x509.Certificate, authorities: list[x509.Certificate]
) -> x509.Certificate:
    for one in authorities:
        try:
            certificate.verify_directly_issued_by(one)
        except (InvalidSignature, ValueError, TypeError):
            continue
        return one
    raise AdminError("none of these authorities issued this certificate")
