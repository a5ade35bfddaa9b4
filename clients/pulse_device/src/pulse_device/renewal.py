"""Renew by ourselves: which key and certificate to connect with, when to ask for the next ones, when to switch.

The present pair stays until the broker has let us in with the next one; whatever is lost on the way, one of the two
works.  The next key is stored before it is asked for, so that after a crash the same request gets the same certificate.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from pulse_device import directory as files
from pulse_device.certificates import (
    UntrustedCertificateError,
    check_issued,
    lifetime_of,
    parse_certificates,
)
from pulse_device.errors import LocalFilesError
from pulse_device.journal import one_line
from pulse_device.keys import certificate_request_pem, new_key_pem, parse_key
from pulse_device.provisioning import pem_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from datetime import datetime

    from cryptography import x509

    from pulse_device.certificates import Lifetime
    from pulse_device.identity import Identity
    from pulse_device.journal import Journal

FIRST_RETRY_SECONDS = 60.0
LONGEST_RETRY_SECONDS = 6 * 3600.0
MOST_DOUBLINGS = 20


class Renewal:
    """`tls` is the context of every connection: the pair to connect with is loaded into it before each."""

    def __init__(
        self,
        *,
        identity: Identity,
        tls: ssl.SSLContext,
        journal: Journal,
        clock: Callable[[], datetime],
        fraction: Callable[[], float],
    ) -> None:
        self.lifetime: Lifetime = identity.lifetime
        self._directory = identity.directory
        self._name = identity.config.name
        self._tls = tls
        self._journal = journal
        self._clock = clock
        self._fraction = fraction
        self._due_at = self.lifetime.renew_at(fraction())
        self._has_next = self._directory.has_next
        self._with_next = False
        self._prefer_next = True
        self._failures = 0
        self._try_at = 0.0

    @property
    def wants_reconnect(self) -> bool:
        """Whether a renewed certificate waits, and it is time to try it."""
        return (
            not self._with_next
            and self._has_next
            and (self._prefer_next or time.monotonic() >= self._try_at)
        )

    def prepare(self) -> None:
        """Load the pair to connect with: the next one when there is one, unless it has just failed."""
        directory = self._directory
        if time.monotonic() >= self._try_at:
            self._prefer_next = True
        self._with_next = self._has_next and self._prefer_next
        certificate, key = directory.certificate, directory.key
        if self._with_next:
            certificate, key = files.successor(certificate), files.successor(key)
        try:
            self._tls.load_cert_chain(certfile=certificate, keyfile=key)
        except OSError as error:
            if not self._with_next:
                raise LocalFilesError(
                    f"the files in {directory.path} cannot be used: {error}"
                ) from error
            # The disk has lost it: we have another pair, and ask once more.
            self._journal.warning("renewed_certificate_unusable", reason=error)
            directory.forget_next()
            self._has_next = False
            self.prepare()

    @property
    def has_next(self) -> bool:
        return self._has_next

    def found_next(self) -> None:
        """Another way than ours has brought the next pair: it is to be tried first."""
        self._has_next = self._prefer_next = True
        self._failures, self._try_at = 0, 0.0

    def connected(self) -> None:
        """The broker has let us in: a renewed pair has proved itself."""
        if not self._with_next:
            return
        certificate = files.successor(self._directory.certificate)
        self.lifetime = lifetime_of(parse_certificates(files.read(certificate))[0])
        self._directory.commit_next()
        self._has_next = self._with_next = False
        self._failures, self._try_at = 0, 0.0
        self._due_at = self.lifetime.renew_at(self._fraction())
        self._journal.info(
            "certificate_renewed",
            serial_number=self.lifetime.serial_number,
            not_after=self.lifetime.not_after,
        )

    def not_connected(self) -> bool:
        """Take the other pair the next time, and say whether that one is still worth a try at once.

        The renewed pair comes to its turn again later.
        """
        if self._with_next:
            self._with_next, self._prefer_next = False, False
            self._back_off()
            return True
        if self._has_next:
            self._prefer_next = True  # perhaps its first use has retired the older one
        return False

    def hurry(self, seconds: int) -> None:
        """Renew within so many seconds, if it is not due before: the authority is about to change."""
        self._due_at = min(self._due_at, self._clock() + timedelta(seconds=seconds))

    def request(self) -> bytes | None:
        """Return what to publish when it is time to ask for the next certificate."""
        if self._clock() < self._due_at or self._has_next:
            return None
        if time.monotonic() < self._try_at:
            return None
        self._back_off()
        path = files.successor(self._directory.key)
        if not path.exists():
            self._directory.write_next(self._directory.key, new_key_pem())
        key = parse_key(files.read(path), name=str(path))
        return json.dumps({"csr": certificate_request_pem(key)}).encode()

    def take(self, payload: bytes) -> None:
        """Store an answer that is a certificate for us; say what is wrong with any other."""
        path = files.successor(self._directory.key)
        if self._has_next or not path.exists():
            return  # an answer that came twice
        key = parse_key(files.read(path), name=str(path))
        try:
            leaf, chain = _parse_answer(payload)
            check_issued(leaf=leaf, chain=chain, key=key, name=self._name, now=self._clock())
        except UntrustedCertificateError as error:
            self._journal.warning("renewal_failed", reason=one_line(str(error)))
            return
        self._directory.write_next(self._directory.chain, pem_of(chain))
        self._directory.write_next(self._directory.certificate, pem_of((leaf, *chain[:-1])))
        self._has_next = self._prefer_next = True
        self._journal.info("certificate_received", serial_number=lifetime_of(leaf).serial_number)

    def _back_off(self) -> None:
        doublings = min(self._failures, MOST_DOUBLINGS)
        seconds = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**doublings)
        self._failures += 1
        self._try_at = time.monotonic() + seconds * (1 + self._fraction()) / 2


def _parse_answer(payload: bytes) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    """Return the certificate and its chain; raise UntrustedCertificateError with the reason for anything else."""
    try:
        found = json.loads(payload)
        if "error" in found:
            raise UntrustedCertificateError(f"the server refused: {found['error']['detail']}")
        (leaf,) = parse_certificates(found["certificate"].encode())
        return leaf, parse_certificates(found["chain"].encode())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UntrustedCertificateError("the server's answer is not a renewal") from error
