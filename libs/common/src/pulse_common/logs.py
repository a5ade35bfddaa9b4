"""JSON logs: an event name in the past tense plus fields, one line per outcome, secrets redacted."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any

    from structlog.typing import ExcInfo, Processor

REDACTED = "[redacted]"
LONGEST_MESSAGE = 300
_SECRET_NAME = re.compile(
    r"password|passphrase|secret|token|authorization|cookie|api_?key|admin_?key|private|csr|signature",
    re.IGNORECASE,
)
# Names that only look secret: counts and ids of secret things.
_HARMLESS = frozenset({"token_id", "secret_name", "token_age_seconds"})

_FRAMES = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace the value of every field whose name says that it is secret, at any depth."""
    for name in list(event):
        event[name] = _redacted(name, event[name])
    return event


def _redacted(name: str, value: Any) -> Any:  # noqa: ANN401 -- whatever was logged
    if name not in _HARMLESS and _SECRET_NAME.search(name):
        return REDACTED
    if isinstance(value, dict):
        return {key: _redacted(str(key), inner) for key, inner in value.items()}
    return value


def _describe_exception(exc_info: ExcInfo) -> list[dict[str, Any]]:
    """Say what was raised and where.

    Without the frames' local variables, which hold passwords, keys and rows, and only the first line of each message:
    what psycopg and pydantic say after it quotes values.
    """
    found = _FRAMES(exc_info)
    for each in found:
        each["exc_value"] = each["exc_value"].partition("\n")[0][:LONGEST_MESSAGE]
    return found


def configure(service: str, level: str) -> None:
    """Send every log line, the standard library's too, to stdout as one JSON object."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(_describe_exception),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Their INFO lines carry URLs and headers; ours say what happened.
    for noisy in ("httpx2", "httpcore2", "uvicorn.access", "nats"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)
