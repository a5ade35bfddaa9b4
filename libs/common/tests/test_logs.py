from __future__ import annotations

import pytest

from pulse_common.logs import REDACTED, redact


@pytest.mark.parametrize(
    "name", ["password", "NATS_PASSWORD", "access_token", "Authorization", "cookie", "csr_pem"]
)
def test_fields_with_secret_names_are_redacted(name: str) -> None:
    event = redact(None, "info", {"event": "x", name: "hunter2", "deep": {name: "hunter2"}})

    assert "hunter2" not in str(event)
    assert event[name] == REDACTED


def test_other_fields_stay() -> None:
    event = redact(None, "info", {"event": "x", "device_id": "d", "token_id": "t"})

    assert event == {"event": "x", "device_id": "d", "token_id": "t"}
