"""Know the authorities that sign devices' certificates: say which we have, keep those we are to have, renew when asked.

One CA follows another over months; the server waits until devices know the next one.  What is kept here
(`authorities.pem`) is for whoever on this machine checks devices' certificates: the broker's own has another CA.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256

from pulse_device import directory as files
from pulse_device.certificates import (
    UntrustedCertificateError,
    check_authorities,
    parse_certificates,
)
from pulse_device.journal import one_line
from pulse_device.provisioning import pem_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography import x509

    from pulse_device.directory import DeviceDirectory
    from pulse_device.journal import Journal

EVERY_SECONDS = 3600.0
# A fleet that comes back at once must not report at once; and who comes for a moment only does so when it is time.
SOONEST_SHARE = 0.05
MOST_AUTHORITIES = 64


class Trust:
    """`hurry` is told in how many seconds to renew, when the server wants it sooner than the certificate's age."""

    def __init__(
        self,
        *,
        directory: DeviceDirectory,
        hurry: Callable[[int], None],
        journal: Journal,
        clock: Callable[[], datetime],
        fraction: Callable[[], float],
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._directory = directory
        self._hurry = hurry
        self._journal = journal
        self._clock = clock
        self._fraction = fraction
        self._every_seconds = every_seconds
        late = self._told_seconds_ago() >= every_seconds
        self._due_at = time.monotonic() + (0.0 if late else self._pause())
        self._waiting = False

    def request(self) -> bytes | None:
        """Return what to publish when it is time to say what we have."""
        if time.monotonic() < self._due_at:
            return None
        self._due_at = time.monotonic() + self._pause()
        self._waiting = True
        self._directory.note_told()
        held = [certificate.fingerprint(SHA256()).hex() for certificate in self._held()]
        return json.dumps({"trust": sorted(set(held))[:MOST_AUTHORITIES]}).encode()

    def take(self, payload: bytes) -> bool:
        """Keep what the server says we are to trust; say whether the answer was about that at all."""
        found = _about_trust(payload)
        if found is None:
            return False
        if not self._waiting:
            return True  # an answer that came twice
        self._waiting = False
        try:
            authorities, renew_in = _parse(found)
            check_authorities(authorities, self._clock())
        except UntrustedCertificateError as error:
            self._journal.warning("authorities_ignored", reason=one_line(str(error)))
            return True
        if set(authorities) != set(self._held()):
            self._directory.write_authorities(pem_of(authorities))
            self._journal.info("authorities_changed", certificates=len(authorities))
            self._due_at = time.monotonic()  # says that we have them now
        if renew_in is not None:
            self._hurry(renew_in)
        return True

    def _held(self) -> tuple[x509.Certificate, ...]:
        path = self._directory.authorities
        return parse_certificates(files.read(path if path.exists() else self._directory.chain))

    def _pause(self) -> float:
        share = SOONEST_SHARE + (1 - SOONEST_SHARE) * self._fraction()
        return self._every_seconds * share

    def _told_seconds_ago(self) -> float:
        told_at = self._directory.told_at
        if told_at is None:
            self._directory.note_told()
            return 0.0
        return self._clock().timestamp() - told_at


def _about_trust(payload: bytes) -> object | None:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return found.get("trust") if isinstance(found, dict) else None


def _parse(found: object) -> tuple[tuple[x509.Certificate, ...], int | None]:
    try:
        authorities = found["authorities"]  # type: ignore[index]  # anything else is caught
        renew_in = found.get("renew_in_seconds")  # type: ignore[attr-defined]  # likewise
        if renew_in is not None and (not isinstance(renew_in, int) or renew_in < 0):
            raise UntrustedCertificateError("the server's answer is not about authorities")
        return parse_certificates(authorities.encode()), renew_in
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UntrustedCertificateError("the server's answer is not about authorities") from error
