"""What the doors that a certificate could still open have in common.

Nothing of the platform's is believed but what its authorities signed: an answer that is forged, out of date or about
another certificate is an error, never a proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import httpx2
from cryptography import x509

from pulse_admin.failure import AdminError

if TYPE_CHECKING:
    from datetime import datetime

SECONDS = 10.0
LARGEST_BYTES = 64 * 1024 * 1024
TEMPORARY = {x509.ReasonFlags.certificate_hold, x509.ReasonFlags.remove_from_crl}
"""Reasons that come off a list again: such a certificate is not dead."""
Kind = TypeVar("Kind", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Suspect:
    """The certificate, the authority that issued it, and the time that answers are held against."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    now: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """What one door says of the certificate."""

    door: str
    dead: bool
    text: str


def fetched(answer: httpx2.Response) -> bytes:
    """Return the content.

    Raises:
        AdminError: it is not there, or larger than any list.
    """
    if answer.status_code != httpx2.codes.OK or len(answer.content) > LARGEST_BYTES:
        raise AdminError(f"{answer.request.url} answers {answer.status_code}")
    return answer.content


def require_current(suspect: Suspect, url: str, begins: datetime, ends: datetime | None) -> None:
    if ends is None or not begins <= suspect.now <= ends:
        raise AdminError(f"what {url} says is not of now, but good from {begins} to {ends}")


def extension(certificate: x509.Certificate, kind: type[Kind]) -> Kind:
    """Return the extension's value.

    Raises:
        AdminError: the certificate has none.
    """
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound as error:
        raise AdminError(f"the certificate has no {kind.__name__}") from error


def named(reason: x509.ReasonFlags | None) -> str:
    return "revoked" if reason is None else f"revoked, {reason.value}"
