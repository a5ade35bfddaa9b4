"""Load what an enrolment left behind and make sure that its parts still belong together."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_device import directory as files
from pulse_device.certificates import (
    Lifetime,
    UntrustedCertificateError,
    check_names,
    lifetime_of,
    parse_certificates,
)
from pulse_device.config import Config, parse_config
from pulse_device.errors import LocalFilesError, NotEnrolledError
from pulse_device.keys import parse_key, same_key

if TYPE_CHECKING:
    from pulse_device.directory import DeviceDirectory


@dataclass(frozen=True, slots=True)
class Identity:
    directory: DeviceDirectory
    config: Config
    lifetime: Lifetime
    key_mode: int
    key_is_private: bool


def load_identity(directory: DeviceDirectory) -> Identity:
    """Raise NotEnrolledError when there is nothing, LocalFilesError when it is damaged."""
    if directory.path.is_dir():
        directory.finish_renewal()
        directory.finish_commit()
    if not directory.config.exists():
        raise NotEnrolledError(f"no device is enrolled in {directory.path}")
    config = parse_config(files.read(directory.config))
    key = parse_key(files.read(directory.key), name=str(directory.key))
    try:
        leaf = parse_certificates(files.read(directory.certificate))[0]
        check_names(leaf, config.name)
    except UntrustedCertificateError as error:
        raise LocalFilesError(f"{directory.certificate} is wrong: {error}") from error
    if not same_key(leaf, key):
        raise LocalFilesError(f"{directory.certificate} belongs to another key")
    state = directory.key.stat()
    return Identity(
        directory=directory,
        config=config,
        lifetime=lifetime_of(leaf),
        key_mode=state.st_mode & 0o777,
        key_is_private=files.is_private(state),
    )


def broker_tls(directory: DeviceDirectory) -> ssl.SSLContext:
    """Mutual TLS towards the broker: its name and chain are verified, always."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=directory.broker_ca)
        context.load_cert_chain(certfile=directory.certificate, keyfile=directory.key)
    except OSError as error:
        raise LocalFilesError(f"the files in {directory.path} cannot be used: {error}") from error
    return context
