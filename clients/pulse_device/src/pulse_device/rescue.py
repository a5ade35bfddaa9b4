"""Come back after the certificate has expired: the next one for the same key, while an administrator allows it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from pulse_device import directory as files
from pulse_device.certificates import (
    UntrustedCertificateError,
    check_issued,
    lifetime_of,
    parse_certificates,
)
from pulse_device.errors import DeviceError, RefusedError, UsageError
from pulse_device.identity import load_identity
from pulse_device.journal import one_line
from pulse_device.keys import certificate_request_pem, parse_key
from pulse_device.provisioning import pem_of, request_rescue, server_tls

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from pulse_device.certificates import Lifetime
    from pulse_device.directory import DeviceDirectory
    from pulse_device.journal import Journal
    from pulse_device.renewal import Renewal

EVERY_SECONDS = 900.0


def rescue(*, directory: DeviceDirectory, tls: ssl.SSLContext, now: datetime) -> Lifetime:
    """Fetch the next certificate and keep it beside the expired one; return until when it counts.

    Raises a DeviceError: it has not expired, nobody allows it, or the answer can't be trusted.
    """
    identity = load_identity(directory)
    if not identity.lifetime.expired(now):
        raise UsageError("the certificate has not expired: there is nothing to rescue")
    key_pem = files.read(directory.key)
    key = parse_key(key_pem, name=str(directory.key))
    expired = parse_certificates(files.read(directory.certificate))[0]
    answer = request_rescue(
        server=identity.config.server,
        certificate_pem=expired.public_bytes(Encoding.PEM).decode(),
        request_pem=certificate_request_pem(key),
        tls=tls,
    )
    try:
        check_issued(
            leaf=answer.leaf, chain=answer.chain, key=key, name=identity.config.name, now=now
        )
    except UntrustedCertificateError as error:
        raise RefusedError(f"the server's certificate for us is wrong: {error}") from error
    # A renewal that was under way when the old certificate expired can't end any more.
    directory.forget_next()
    directory.write_next(directory.key, key_pem)
    directory.write_next(directory.chain, pem_of(answer.chain))
    directory.write_next(directory.certificate, pem_of((answer.leaf, *answer.chain[:-1])))
    return lifetime_of(answer.leaf)


class Rescuer:
    """Asks by itself while the program runs: at once when the certificate has expired, then now and again."""

    def __init__(
        self,
        *,
        directory: DeviceDirectory,
        ca_file: Path | None,
        renewal: Renewal,
        journal: Journal,
        clock: Callable[[], datetime],
        fraction: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._ca_file = ca_file
        self._renewal = renewal
        self._journal = journal
        self._clock = clock
        self._fraction = fraction
        self._try_at = 0.0

    def attempt(self) -> None:
        """Ask, if there is a reason to and it is time; trouble is told of and waited out."""
        now = self._clock()
        if not self._renewal.lifetime.expired(now) or self._renewal.has_next:
            return
        if time.monotonic() < self._try_at:
            return
        self._try_at = time.monotonic() + EVERY_SECONDS * (1 + self._fraction()) / 2
        try:
            tls = server_tls(self._ca_file)
            lifetime = rescue(directory=self._directory, tls=tls, now=now)
        except DeviceError as error:
            self._journal.warning("rescue_failed", reason=one_line(str(error)))
            return
        self._renewal.found_next()
        self._journal.info("certificate_rescued", serial_number=lifetime.serial_number)
