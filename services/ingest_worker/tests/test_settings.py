from __future__ import annotations

import pytest

from ingest_worker.settings import Settings
from pulse_common.settings import SettingsError, load


def test_every_mistake_is_listed_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, {"MQTT_PASSWORD": "short", "MQTT_CLIENT_ID": "a/b"})

    mistakes = str(caught.value)
    for name in ("MQTT_PASSWORD:", "MQTT_CLIENT_ID:", "MQTT_HOST is", "DATABASE_URL is", "NATS_"):
        assert name in mistakes
    assert "short" not in mistakes.replace("too short", "")
