from __future__ import annotations

import pytest

from provision_api.settings import Settings
from pulse_common.settings import SettingsError, load


def test_every_mistake_is_listed_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, {"PROVISION_ADMIN_KEY": "short", "NATS_PASSWORD": "short"})

    for name in ("PROVISION_ADMIN_KEY:", "NATS_PASSWORD:", "DATABASE_URL is required"):
        assert name in str(caught.value)


def test_a_rate_that_would_lock_everybody_out_is_a_mistake() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, {"PROVISION_ADMIN_PER_MINUTE": "0", "RATE_LIMIT_STORE_URL": "redis"})

    for name in ("PROVISION_ADMIN_PER_MINUTE:", "RATE_LIMIT_STORE_URL:"):
        assert name in str(caught.value)
