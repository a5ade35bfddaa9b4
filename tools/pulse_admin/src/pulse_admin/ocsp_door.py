"""The door that OCSP shuts (RFC 6960): asked with a nonce, and believed when the certificate's authority signed it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from pulse_admin.doors import TEMPORARY, Finding, extension, fetched, named, require_current
from pulse_admin.failure import AdminError

if TYPE_CHECKING:
    import httpx2

    from pulse_admin.doors import Suspect


def ask(suspect: Suspect, http: httpx2.Client) -> list[Finding]:
    """Ask each responder that the certificate names, with a nonce, so that the answer is of now."""
    urls = [
        str(access.access_location.value)
        for access in extension(suspect.certificate, x509.AuthorityInformationAccess)
        if access.access_method == AuthorityInformationAccessOID.OCSP
    ]
    nonce = x509.OCSPNonce(os.urandom(16))
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        suspect.certificate, suspect.issuer, hashes.SHA256()
    )
    request = builder.add_extension(nonce, critical=False).build().public_bytes(Encoding.DER)
    headers = {"content-type": "application/ocsp-request"}
    return [
        _by_ocsp(
            suspect,
            url,
            nonce,
            fetched(http.post(url, content=request, headers=headers)),
        )
        for url in urls
    ]


def _by_ocsp(
    suspect: Suspect,
    url: str,
    nonce: x509.OCSPNonce,
    content: bytes,
) -> Finding:
    try:
        answer = ocsp.load_der_ocsp_response(content)
    except ValueError as error:
        raise AdminError(f"what {url} answers is no OCSP") from error
    if answer.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise AdminError(f"{url} answers {answer.response_status.name.lower()}")
    _require_signed(suspect, url, answer)
    try:
        repeated = answer.extensions.get_extension_for_class(x509.OCSPNonce).value
    except x509.ExtensionNotFound:
        repeated = None
    if answer.serial_number != suspect.certificate.serial_number or repeated != nonce:
        raise AdminError(f"{url} answers another question")
    require_current(suspect, url, answer.this_update_utc, answer.next_update_utc)
    if answer.certificate_status == ocsp.OCSPCertStatus.REVOKED:
        reason, since = answer.revocation_reason, answer.revocation_time_utc
        text = f"{named(reason)} since {since:%Y-%m-%d %H:%M:%SZ}"
        return Finding(f"OCSP {url}", dead=reason not in TEMPORARY, text=text)
    return Finding(f"OCSP {url}", dead=False, text=answer.certificate_status.name.lower())


def _require_signed(suspect: Suspect, url: str, answer: ocsp.OCSPResponse) -> None:
    """Refuse an answer that neither the authority nor a responder of its own signed (RFC 6960, 4.2.2.2)."""
    signer = answer.certificates[0] if answer.certificates else suspect.issuer
    try:
        if signer != suspect.issuer:
            signer.verify_directly_issued_by(suspect.issuer)
            allowed = extension(signer, x509.ExtendedKeyUsage)
            if ExtendedKeyUsageOID.OCSP_SIGNING not in allowed:
                raise AdminError(f"{url} answers by a certificate that may not")
        if not signer.not_valid_before_utc <= suspect.now <= signer.not_valid_after_utc:
            raise AdminError(f"{url} answers by a certificate that is not valid now")
        _verify(signer, answer)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise AdminError(
            f"the answer of {url} is not signed by the certificate's authority"
        ) from error


def _verify(signer: x509.Certificate, answer: ocsp.OCSPResponse) -> None:
    key, algorithm = signer.public_key(), answer.signature_hash_algorithm
    if algorithm is None:
        raise TypeError("no hash is named")
    signed = answer.tbs_response_bytes
    match key:
        case ec.EllipticCurvePublicKey():
            key.verify(answer.signature, signed, ec.ECDSA(algorithm))
        case rsa.RSAPublicKey():
            key.verify(answer.signature, signed, padding.PKCS1v15(), algorithm)
        case _:
            raise TypeError("a key of another kind")
