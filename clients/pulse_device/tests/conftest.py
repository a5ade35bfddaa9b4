"""What the device's tests share: two CAs, a provisioning server, a broker, an enrolled device."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from clients.pulse_device.tests.fake_broker import FakeBroker
from clients.pulse_device.tests.fake_provisioning import FakeProvisioning
from clients.pulse_device.tests.pki import Ca, pem, server_context

from pulse_device.directory import DeviceDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside the device."""

    provisioning: FakeProvisioning
    broker: FakeBroker
    web_ca_file: Path
    devices: Ca
    web: Ca
    tmp_path: Path

    def enroll_arguments(self, directory: Path, *more: str) -> list[str]:
        return [
            "enroll", "--server", self.provisioning.url, "--ca", str(self.web_ca_file),
            "--dir", str(directory), *more,
        ]  # fmt: skip


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULSE_ENROLMENT_TOKEN", raising=False)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def authorities() -> tuple[Ca, Ca]:
    return Ca("Devices"), Ca("Web")


@pytest.fixture
def world(tmp_path: Path, authorities: tuple[Ca, Ca]) -> Iterator[World]:
    devices, web = authorities
    web_ca_file = tmp_path / "web-ca.pem"
    web_ca_file.write_bytes(pem(web.certificate))
    device_ca_file = tmp_path / "device-ca.pem"
    device_ca_file.write_bytes(pem(devices.certificate))
    broker_tls = server_context(web, tmp_path)
    broker_tls.verify_mode = ssl.CERT_REQUIRED
    broker_tls.load_verify_locations(device_ca_file)
    broker = FakeBroker(broker_tls)
    provisioning = FakeProvisioning(server_context(web, tmp_path), devices=devices, broker_ca=web)
    provisioning.broker_port = broker.port
    provisioning.start()
    broker.start()
    yield World(
        provisioning=provisioning,
        broker=broker,
        web_ca_file=web_ca_file,
        devices=devices,
        web=web,
        tmp_path=tmp_path,
    )
    broker.stop()
    provisioning.stop()


@pytest.fixture
def directory(tmp_path: Path) -> DeviceDirectory:
    return DeviceDirectory(tmp_path / "device")
