"""config.json: where the server and the broker are and who this device is."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pulse_device.errors import LocalFilesError
from pulse_device.names import DeviceName, Endpoint, parse_host, parse_port, parse_uuid

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Config:
    server: str
    broker: Endpoint
    name: DeviceName


def config_bytes(config: Config) -> bytes:
    content = {
        "version": FORMAT_VERSION,
        "server": config.server,
        "tenant_id": config.name.tenant_id,
        "device_id": config.name.device_id,
        "mqtt": {"host": config.broker.host, "port": config.broker.port},
    }
    return f"{json.dumps(content, indent=2)}\n".encode()


def parse_config(content: bytes) -> Config:
    try:
        found = json.loads(content)
        _check_version(found["version"])
        return Config(
            server=str(found["server"]),
            broker=Endpoint(
                host=parse_host(found["mqtt"]["host"]), port=parse_port(found["mqtt"]["port"])
            ),
            name=DeviceName(
                tenant_id=parse_uuid(found["tenant_id"]), device_id=parse_uuid(found["device_id"])
            ),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LocalFilesError("config.json is damaged: enrol again with --force") from error


def _check_version(version: object) -> None:
    if version != FORMAT_VERSION:
        raise ValueError("written by another version of this program")
