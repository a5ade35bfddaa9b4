"""Why a question of the broker was answered as it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Reason(StrEnum):
    """Why the answer was what it was; goes to the log and the metrics, never to the broker."""

    ALLOWED = "allowed"
    MALFORMED = "malformed"
    DATABASE_AWAY = "database_away"
    TOO_SLOW = "too_slow"
    BUG = "bug"
    BAD_CERTIFICATE = "bad_certificate"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CLIENT_ID_MISMATCH = "client_id_mismatch"
    USERNAME_MISMATCH = "username_mismatch"
    CERTIFICATE_UNKNOWN = "certificate_unknown"
    CERTIFICATE_MISMATCH = "certificate_mismatch"
    CERTIFICATE_REVOKED = "certificate_revoked"
    ISSUER_NOT_TRUSTED = "issuer_not_trusted"
    TENANT_SUSPENDED = "tenant_suspended"
    DEVICE_DISABLED = "device_disabled"
    BEYOND_PLAN = "beyond_plan"
    NO_CERTIFICATE = "no_certificate"
    CERTIFICATE_NOT_WANTED = "certificate_not_wanted"
    NO_TOKEN = "no_token"  # noqa: S105 -- a reason
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105 -- a reason
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 -- a reason
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 -- a reason
    TOKENS_NOT_ALLOWED = "tokens_not_allowed"
    TOO_MANY_WRONG_TOKENS = "too_many_wrong_tokens"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 -- a reason
    SERVICE_CLIENT_ID = "service_client_id"
    UNKNOWN_CLIENT = "unknown_client"
    BAD_TOPIC = "bad_topic"
    SYSTEM_TOPIC = "system_topic"
    TOPIC_NOT_ALLOWED = "topic_not_allowed"
    RETAIN_NOT_ALLOWED = "retain_not_allowed"


@dataclass(frozen=True, slots=True)
class Denied:
    """``detail`` is for the log; of an act, the rule that decided."""

    reason: Reason
    detail: str = field(default="", compare=False)
