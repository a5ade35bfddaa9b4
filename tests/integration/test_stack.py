"""The embedded stack as a whole: a failing part is named, nothing is left running, a second start keeps the data."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from pulse_local.ports import find_free_base
from pulse_local.processes import PartFailedError
from pulse_local.seed import demo_devices, enrol_device, seed_tenants
from pulse_local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration


@pytest.fixture
def data() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pulse-"))
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def others() -> set[psutil.Process]:
    """Give what runs already: the stack of the other tests."""
    return _children()


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _left(others: set[psutil.Process]) -> set[psutil.Process]:
    """Find processes of this test's; what the others start meanwhile, as PostgreSQL does, is not."""
    found = set()
    for child in _children() - others:
        with contextlib.suppress(psutil.NoSuchProcess):
            if not {*child.parents()} & others:
                found.add(child)
    return found


def test_service_that_cannot_start_is_named_and_everything_else_is_stopped(
    data: Path, others: set[psutil.Process]
) -> None:
    broken = {"cert_worker": {"CA_KEY_PASSPHRASE": "short"}}
    stack = Stack(data, find_free_base(), overrides=broken)

    with pytest.raises(PartFailedError) as caught:
        stack.start()

    message = str(caught.value)
    assert message.startswith("cert_worker ended by itself (exit code 78)")
    assert "CA_KEY_PASSPHRASE" in message.upper()
    assert str(stack.logs / "cert_worker.log") in message
    assert not _left(others)


def test_second_start_keeps_tenants_devices_and_certificates(
    data: Path, others: set[psutil.Process]
) -> None:
    base = find_free_base()
    first = Stack(data, base)
    first.start()
    seed_tenants(first)
    device = demo_devices(first)[0]
    enrol_device(first, device)
    certificate = (device.folder / "certificate.pem").read_bytes()
    first.stop()

    second = Stack(data, base)
    second.start()
    seed_tenants(second)
    enrol_device(second, device)
    running = {name: part.is_running() for name, part in second.parts.items()}
    second.stop()

    assert (device.folder / "certificate.pem").read_bytes() == certificate
    assert all(running.values())
    assert not _left(others)
