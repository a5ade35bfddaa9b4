"""The names that cross the boundary: ids, topics, the SAN URI; nothing else may enter a topic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

HOST = re.compile(
    r"(?=.{1,253}\Z)[0-9A-Za-z_]([0-9A-Za-z_.-]*[0-9A-Za-z_])?\.?|[0-9A-Fa-f:.]{2,45}"
)
HIGHEST_PORT = 65_535


def parse_uuid(text: object) -> str:
    """Return a UUID in canonical lower case, or raise ValueError.

    Only the canonical spelling is taken: the text becomes part of a topic, where a wildcard or a
    second spelling of the same device would be a hole.
    """
    if not isinstance(text, str) or str(UUID(text)) != text:
        raise ValueError("not a UUID in lower case")
    return text


def parse_host(text: object) -> str:
    if not isinstance(text, str) or HOST.fullmatch(text) is None:
        raise ValueError("not a host name or address")
    return text


def parse_port(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= HIGHEST_PORT:
        raise ValueError("not a port")
    return value


@dataclass(frozen=True, slots=True)
class DeviceName:
    """Who this device is. Both parts are canonical UUIDs."""

    tenant_id: str
    device_id: str

    @property
    def urn(self) -> str:
        return f"urn:pulse:tenant:{self.tenant_id}:device:{self.device_id}"

    @property
    def telemetry_topic(self) -> str:
        return f"{self._root}/telemetry"

    @property
    def command_topic(self) -> str:
        return f"{self._root}/command"

    @property
    def command_ack_topic(self) -> str:
        return f"{self._root}/command/ack"

    @property
    def renew_topic(self) -> str:
        return f"{self._root}/cert/renew"

    @property
    def issued_topic(self) -> str:
        return f"{self._root}/cert/issued"

    @property
    def _root(self) -> str:
        return f"tenant/{self.tenant_id}/device/{self.device_id}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    host: str
    port: int
