"""The MQTT client as we use it: a session that outlives a connection, mutual TLS, no threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

if TYPE_CHECKING:
    import ssl

    from pulse_device.names import Endpoint

CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 30
SESSION_SECONDS = 86_400
# So many publishes may be without an acknowledgement; the rest waits in our outbox, where it can
# be bounded.
WINDOW = 20
PROTOCOLS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}


def make_client(*, client_id: str, protocol: str, tls: ssl.SSLContext) -> Client:
    """Make a client for MQTT "3.1.1" or "5"; nothing is sent yet."""
    version = PROTOCOLS[protocol]
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        # MQTT 5 says the same with properties, see connect().
        clean_session=None if version == MQTTProtocolVersion.MQTTv5 else False,
        protocol=version,
        reconnect_on_failure=False,
    )
    client.tls_set_context(tls)
    client.connect_timeout = CONNECT_SECONDS
    client.max_inflight_messages_set(WINDOW)
    return client


def connect(client: Client, broker: Endpoint) -> None:
    """Send CONNECT; raises OSError (TLS errors are such too)."""
    if client.protocol != MQTTProtocolVersion.MQTTv5:
        client.connect(broker.host, broker.port, keepalive=KEEPALIVE_SECONDS)
        return
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's gap
    properties.SessionExpiryInterval = SESSION_SECONDS
    client.connect(
        broker.host,
        broker.port,
        keepalive=KEEPALIVE_SECONDS,
        clean_start=False,
        properties=properties,
    )
