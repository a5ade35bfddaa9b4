"""The broker that the tests share, emptied after each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pulse_local.broker.testing.authority import Authority
from pulse_local.broker.testing.fake_authz import FakeAuthz
from pulse_local.broker.testing.rig import Rig, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def four_ports() -> tuple[int, int, int, int]:
    return free_port(), free_port(), free_port(), free_port()


@pytest.fixture
def open_rig(rig: Rig) -> Rig:
    """A rig whose clients may do everything."""
    rule = {"permission": "allow", "action": "all", "topic": "#"}
    rig.authz.answer_authentication({"result": "allow", "acl": [rule]})
    return rig


@pytest.fixture(scope="session")
def running_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One broker for all tests: starting one costs more than most tests do."""
    folder = tmp_path_factory.mktemp("broker")
    fake = FakeAuthz()
    fake.start()
    made = Rig(folder, Authority(folder, "devices"), fake)
    try:
        with running(made.settings):
            yield made
    finally:
        made.api.close()
        fake.stop()


@pytest.fixture
def rig(running_rig: Rig) -> Iterator[Rig]:
    """The broker, empty."""
    yield running_rig
    for peer in running_rig.peers:
        peer.leave()
    running_rig.empty()
