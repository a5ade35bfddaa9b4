"""The door that a revocation list shuts: what the broker and everybody else read at the certificate's address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pulse_admin.doors import TEMPORARY, Finding, extension, fetched, named, require_current
from pulse_admin.failure import AdminError

if TYPE_CHECKING:
    import httpx2

    from pulse_admin.doors import Suspect


def look(suspect: Suspect, http: httpx2.Client) -> list[Finding]:
    """Read each list that the certificate names, as the broker and other relying parties do."""
    points = extension(suspect.certificate, x509.CRLDistributionPoints)
    urls = [str(name.value) for point in points for name in point.full_name or []]
    return [_in_list(suspect, url, fetched(http.get(url))) for url in urls]


def _in_list(suspect: Suspect, url: str, content: bytes) -> Finding:
    try:
        found = x509.load_pem_x509_crl(content)
        scope = found.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise AdminError(f"what {url} gives is no list of ours") from error
    public_key = suspect.issuer.public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise AdminError("the authority's key is of a kind that is not known here")
    if found.issuer != suspect.issuer.subject or not found.is_signature_valid(public_key):
        raise AdminError(f"the list at {url} is not signed by the certificate's authority")
    if scope.full_name != [x509.UniformResourceIdentifier(url)]:
        raise AdminError(f"the list at {url} is one of other certificates")
    require_current(suspect, url, found.last_update_utc, found.next_update_utc)
    entry = found.get_revoked_certificate_by_serial_number(suspect.certificate.serial_number)
    if entry is None:
        return Finding(f"list {url}", dead=False, text="not on it")
    reason = _reason_of(entry)
    return Finding(
        f"list {url}",
        dead=reason not in TEMPORARY,
        text=f"{named(reason)} since {entry.revocation_date_utc:%Y-%m-%d %H:%M:%SZ}, "
        f"list of {found.last_update_utc:%Y-%m-%d %H:%M:%SZ}",
    )


def _reason_of(entry: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return None
