"""The device's directory: which file is where, who may read it, and how it changes in one step.

An enrolment first writes every file beside its final name (`*.pending`), config.json last. That
last file is the commit: from then on the enrolment is finished by renaming, again at the next
start when the power failed in between. Until then the previous identity stays whole and usable.

A renewal has names of its own (`*.next`): its key and certificate lie beside those in use until the broker has let us
in with them. Then `renewed` is written, the commit, and the files take their places.
"""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pulse_device.errors import LocalFilesError

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600
LARGEST_FILE = 1_048_576


@dataclass(frozen=True, slots=True)
class DeviceDirectory:
    path: Path

    @property
    def key(self) -> Path:
        return self.path / "device-key.pem"

    @property
    def certificate(self) -> Path:
        """The device's certificate followed by its issuing CA: what TLS sends to the broker."""
        return self.path / "certificate.pem"

    @property
    def chain(self) -> Path:
        return self.path / "chain.pem"

    @property
    def authorities(self) -> Path:
        """The CAs that sign devices' certificates, as the server last told them."""
        return self.path / "authorities.pem"

    @property
    def told_at(self) -> float | None:
        """When the server was last told which authorities we have, in Unix time."""
        try:
            return (self.path / "authorities.told").stat().st_mtime
        except OSError:
            return None

    def note_told(self) -> None:
        try:
            (self.path / "authorities.told").touch(mode=PRIVATE_FILE)
        except OSError as error:
            raise LocalFilesError(f"cannot write to {self.path}: {error.strerror}") from error

    def write_authorities(self, content: bytes) -> None:
        try:
            _write_beside(self.authorities, content).replace(self.authorities)
            _sync_directory(self.path)
        except OSError as error:
            raise LocalFilesError(f"cannot write to {self.path}: {error.strerror}") from error

    @property
    def broker_ca(self) -> Path:
        return self.path / "broker-ca.pem"

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def renewed(self) -> Path:
        return self.path / "renewed"

    @property
    def has_next(self) -> bool:
        """Say whether a renewed certificate waits for its first use."""
        return successor(self.certificate).exists() and successor(self.key).exists()

    def write_next(self, path: Path, content: bytes) -> None:
        """Store a part of the renewal under way."""
        try:
            _write_beside(successor(path), content).replace(successor(path))
            _sync_directory(self.path)
        except OSError as error:
            raise LocalFilesError(f"cannot write to {self.path}: {error.strerror}") from error

    def commit_next(self) -> None:
        """Put the renewed key and certificate in the place of those before, all or nothing."""
        try:
            _write_beside(self.renewed, b"").replace(self.renewed)
            _sync_directory(self.path)
        except OSError as error:
            raise LocalFilesError(f"cannot write to {self.path}: {error.strerror}") from error
        self.finish_renewal()

    def finish_renewal(self) -> None:
        """Finish a renewal that was committed but not yet renamed; nothing to do otherwise."""
        if not self.renewed.exists():
            return
        try:
            for path in (self.key, self.certificate, self.chain):
                if successor(path).exists():
                    successor(path).replace(path)
            _sync_directory(self.path)
            self.renewed.unlink()
            _sync_directory(self.path)
        except OSError as error:
            raise LocalFilesError(f"cannot write to {self.path}: {error.strerror}") from error

    def forget_next(self) -> None:
        """Drop a renewal under way: another identity is about to take its place."""
        for path in (self.certificate, self.chain, self.key):
            successor(path).unlink(missing_ok=True)

    def prepare(self) -> None:
        """Make the directory, or make sure that the existing one is ours alone."""
        try:
            if not self.path.exists():
                self.path.mkdir(mode=PRIVATE_DIRECTORY, parents=True)
            state = self.path.stat()
            if not stat.S_ISDIR(state.st_mode):
                raise LocalFilesError(f"{self.path} is not a directory")
            if not is_private(state):
                # Tightening a directory that holds other things could lock somebody out of
                # them, so only an empty one is changed.
                if any(self.path.iterdir()):
                    raise LocalFilesError(f"{self.path} is open to others: chmod 700 it first")
                self.path.chmod(PRIVATE_DIRECTORY)
        except OSError as error:
            raise LocalFilesError(f"cannot use {self.path}: {error.strerror}") from error

    def create_pending_key(self, pem: bytes) -> None:
        """Store a new key for the enrolment under way; one that is there is never replaced."""
        target = pending(self.key)
        try:
            temporary = _write_beside(target, pem)
            try:
                # A link, unlike a rename, fails when the target exists.
                os.link(temporary, target)
            finally:
                temporary.unlink()
            _sync_directory(self.path)
        except OSError as error:
            raise LocalFilesError(f"cannot write {target}: {error.strerror}") from error

    def replace_pending_key(self, pem: bytes) -> None:
        """Store the maker's key for the enrolment under way, in the place of whatever an attempt before it made."""
        try:
            _write_beside(pending(self.key), pem).replace(pending(self.key))
            _sync_directory(self.path)
        except OSError as error:
            raise LocalFilesError(f"cannot write to {self.path}: {error.strerror}") from error

    def commit(self, *, certificate: bytes, chain: bytes, broker_ca: bytes, config: bytes) -> None:
        """Replace the identity with the pending key and these files, all or nothing."""
        try:
            for path, content in (
                (self.certificate, certificate),
                (self.chain, chain),
                (self.broker_ca, broker_ca),
                (self.config, config),
            ):
                _write_beside(pending(path), content).replace(pending(path))
            _sync_directory(self.path)
        except OSError as error:
            raise LocalFilesError(f"cannot write to {self.path}: {error.strerror}") from error
        self.finish_commit()

    def finish_commit(self) -> None:
        """Finish an enrolment that was committed but not yet renamed; nothing to do otherwise."""
        if not pending(self.config).exists():
            return
        try:
            # Of the identity that is about to go; a renewal of it must not be taken for one of the new.
            self.forget_next()
            self.authorities.unlink(missing_ok=True)
            for path in (self.key, self.certificate, self.chain, self.broker_ca, self.config):
                if pending(path).exists():
                    pending(path).replace(path)
            _sync_directory(self.path)
        except OSError as error:
            raise LocalFilesError(f"cannot write to {self.path}: {error.strerror}") from error


def pending(path: Path) -> Path:
    return path.with_name(f"{path.name}.pending")


def successor(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")


def read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise LocalFilesError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise LocalFilesError(f"{path} is too large")
    return content


def is_private(state: os.stat_result) -> bool:
    """Say whether only this user can use the file or directory."""
    return state.st_mode & 0o077 == 0 and state.st_uid == os.geteuid()


def _write_beside(target: Path, content: bytes) -> Path:
    """Write a temporary file (mode 0600) in the target's directory, on the disk for certain."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, PRIVATE_FILE)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    return Path(name)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
