"""Keeps one connection to the broker for ever: connects, hands messages over, reconnects, leaves in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from ingest_worker import metrics
from ingest_worker.backoff import delay_seconds
from ingest_worker.broker import ConnectionFailed, Target, VersionRefused
from ingest_worker.intake import Intake
from ingest_worker.mqtt import V5, V311, Connection
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paho.mqtt.enums import MQTTProtocolVersion

    from ingest_worker.broker import Packet
    from ingest_worker.domain import Inbound
    from pulse_common.clock import Clock

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 5.0
STEADY_SECONDS = 30.0
"""A connection that lasted this long was good: the next attempt starts without a delay."""


class Link:
    """``process`` is awaited for each message; when it returns, the message is stored and may be acknowledged."""

    def __init__(
        self, target: Target, process: Callable[[Inbound], Awaitable[None]], clock: Clock
    ) -> None:
        self._target = target
        self._process = process
        self._clock = clock
        self._connection: Connection | None = None
        self._intake: Intake | None = None
        self._leaving = False

    async def run(self) -> None:
        attempt = 0
        while not self._leaving:
            started = asyncio.get_running_loop().time()
            try:
                await self._serve_one()
            except ConnectionFailed as error:
                log.warning("mqtt_connect_failed", error=str(error), attempt=attempt)
            lasted = asyncio.get_running_loop().time() - started
            attempt = 0 if lasted > STEADY_SECONDS else attempt + 1
            if not self._leaving:
                await asyncio.sleep(delay_seconds(attempt))

    async def check(self) -> None:
        """Readiness: raise unless connected and subscribed."""
        if self._connection is None:
            raise Unavailable("the broker is away")

    async def publish(
        self, topic: str, payload: bytes, *, expiry_seconds: int | None = None
    ) -> None:
        """Publish with QoS 1.

        Raises:
            Conflict, Unavailable: as ``Connection.publish``.
        """
        if self._connection is None:
            raise Unavailable("the broker is away")
        await self._connection.publish(topic, payload, expiry_seconds)

    async def leave(self) -> None:
        """Settle what is in flight and disconnect.

        The subscriptions stay with the session: without them the broker would acknowledge devices' messages that
        nobody gets.  What is not settled in time, the broker sends again when we are back.
        """
        self._leaving = True
        if self._connection is None or self._intake is None:
            return
        await self._intake.drain(DRAIN_SECONDS)
        await self._connection.leave()

    async def _serve_one(self) -> None:
        try:
            connection = await self._open(V5)
        except VersionRefused:
            connection = await self._open(V311)
        intake = self._intake
        try:
            self._connection = connection
            metrics.CONNECTED.set(1)
            await connection.closed.wait()
        finally:
            self._connection = None
            metrics.CONNECTED.set(0)
            connection.abort()
            if intake is not None:
                intake.end()

    async def _open(self, version: MQTTProtocolVersion) -> Connection:
        """Connect in one version of the protocol.  A resumed session sends messages before we are subscribed anew."""

        def on_packet(packet: Packet) -> None:
            intake.take(packet)

        connection = Connection(self._target, version, on_packet)
        intake = Intake(connection, self._process, self._clock)
        try:
            await connection.open()
        except BaseException:
            intake.end()
            raise
        self._intake = intake
        log.info("mqtt_connected", version=version.name)
        return connection
