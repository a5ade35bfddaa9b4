"""What can go wrong, each kind with the exit code that scripts may rely on.

DeviceError
 + UsageError          2  the command line makes no sense
 + RefusedError        3  the server refused, or its answer cannot be trusted
 + NetworkError        4  the server could not be reached over verified TLS
 + LocalFilesError     5  a file or directory on this machine is missing, damaged or too open
   + NotEnrolledError  5  (status answers 1 instead)
 + BrokerRefusedError  6  the broker refused the connection (run --exit-when-refused)
"""

from __future__ import annotations

from typing import ClassVar


class DeviceError(Exception):
    """An end that the person at the terminal can act on; the message is one line."""

    exit_code: ClassVar[int]


class UsageError(DeviceError):
    exit_code = 2


class RefusedError(DeviceError):
    exit_code = 3


class NetworkError(DeviceError):
    exit_code = 4


class LocalFilesError(DeviceError):
    exit_code = 5


class NotEnrolledError(LocalFilesError):
    pass


class BrokerRefusedError(DeviceError):
    exit_code = 6
