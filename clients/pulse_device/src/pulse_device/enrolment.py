"""Enrol: make a key, have it certified for what we show, and store the result in one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_device import directory as files
from pulse_device.certificates import UntrustedCertificateError, check_issued, lifetime_of
from pulse_device.config import Config, config_bytes
from pulse_device.errors import LocalFilesError, RefusedError
from pulse_device.keys import certificate_request_pem, new_key_pem, parse_key
from pulse_device.provisioning import pem_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec

    from pulse_device.certificates import Lifetime
    from pulse_device.directory import DeviceDirectory
    from pulse_device.fleet import WithFleet, WithToken
    from pulse_device.names import DeviceName
    from pulse_device.provisioning import Enrolment


@dataclass(frozen=True, slots=True)
class Enrolled:
    name: DeviceName
    lifetime: Lifetime


def refuse_existing(directory: DeviceDirectory) -> None:
    """Raise when the directory already holds a device; only --force leaves this out."""
    for path in (directory.config, directory.key):
        if path.exists():
            raise LocalFilesError(f"{path} exists: --force enrols again with a new key")


def enrol(
    *,
    directory: DeviceDirectory,
    way: WithToken | WithFleet,
    clock: Callable[[], datetime],
    maker_key: Path | None = None,
) -> Enrolled:
    """Have a key of our own certified, or the one that the maker put in.

    Raise a DeviceError on refusal; the key stays, so that another attempt uses the same one.
    """
    key = _pending_key(directory) if maker_key is None else _made_elsewhere(directory, maker_key)
    answer = way.ask(certificate_request_pem(key))
    try:
        # By the time of the answer: an approval may have taken a while.
        check_issued(leaf=answer.leaf, chain=answer.chain, key=key, name=answer.name, now=clock())
    except UntrustedCertificateError as error:
        raise RefusedError(f"the server's certificate for us is wrong: {error}") from error
    _store(directory, way.server, answer)
    return Enrolled(name=answer.name, lifetime=lifetime_of(answer.leaf))


def _pending_key(directory: DeviceDirectory) -> ec.EllipticCurvePrivateKey:
    path = files.pending(directory.key)
    if not path.exists():
        directory.create_pending_key(new_key_pem())
    return parse_key(files.read(path), name=str(path))


def _made_elsewhere(directory: DeviceDirectory, path: Path) -> ec.EllipticCurvePrivateKey:
    pem = files.read(path)
    key = parse_key(pem, name=str(path))
    directory.replace_pending_key(pem)
    return key


def _store(directory: DeviceDirectory, server: str, answer: Enrolment) -> None:
    config = Config(server=server, broker=answer.broker, name=answer.name)
    directory.commit(
        # The root is left out of what TLS sends: whoever judges it has it already.
        certificate=pem_of((answer.leaf, *answer.chain[:-1])),
        chain=pem_of(answer.chain),
        broker_ca=pem_of(answer.broker_ca),
        config=config_bytes(config),
    )
