"""Fixtures of this service's tests: the rig, two tenants, and people of them who are signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.neighbours import Neighbours
from services.ui_iot.tests.rig import Browser, Rig, open_rig
from services.ui_iot.tests.viewer import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    import psycopg
    from tests.parts import Nats, Postgres


@pytest.fixture
async def rig(
    postgres: Postgres, nats_server: Nats, superuser: psycopg.Connection
) -> AsyncIterator[Rig]:
    async with open_rig(postgres, nats_server, superuser) as opened:
        yield opened


@pytest.fixture
def acme(rig: Rig) -> UUID:
    return rig.tenant("Acme")


@pytest.fixture
async def alice(rig: Rig, acme: UUID) -> Browser:
    """Return the browser of Acme's administrator."""
    return await rig.person(acme)


@pytest.fixture
async def url(rig: Rig) -> AsyncIterator[str]:
    """Return where real sockets reach the live view."""
    async with serving(rig) as address:
        yield address


@pytest.fixture
async def neighbours(rig: Rig) -> Neighbours:
    """Answer on the bus as the services next door would."""
    made = Neighbours(rig.now)
    await made.listen(rig.bus)
    return made
