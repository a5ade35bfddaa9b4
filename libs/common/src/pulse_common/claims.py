"""Read a token's claims into typed values, refusing every claim that is not of its type."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pulse_common.identity import OPERATOR_ROLES, TENANT_ROLES, Role, TenantId
from pulse_common.ids import PLATFORM_TENANT, parse_uuid
from pulse_common.jws import TokenRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

LEEWAY_SECONDS = 30
LONGEST_TEXT = 255
_LAST_SECOND = 253402300799  # 9999-12-31T23:59:59Z
# A NUL or a lone surrogate cannot be stored, other control characters forge log lines.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cs"})


@dataclass(frozen=True, slots=True)
class Claims:
    """A verified token's payload, read claim by claim."""

    members: Mapping[str, object]

    def text(self, name: str) -> str:
        """Read a claim that must be there."""
        value = self.optional_text(name)
        if not value:
            raise TokenRefused(f"claim_{name}")
        return value

    def optional_text(self, name: str) -> str:
        value = self.members.get(name, "")
        if not isinstance(value, str) or len(value) > LONGEST_TEXT:
            raise TokenRefused(f"claim_{name}")
        if any(unicodedata.category(character) in _UNSAFE_CATEGORIES for character in value):
            raise TokenRefused(f"claim_{name}")
        return value

    def seconds(self, name: str) -> int:
        value = self.members.get(name)
        # bool is an int to Python; a date is not true.
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LAST_SECOND:
            raise TokenRefused(f"claim_{name}")
        return value

    def optional_time(self, name: str) -> datetime | None:
        return self.time(name) if name in self.members else None

    def time(self, name: str) -> datetime:
        return datetime.fromtimestamp(self.seconds(name), UTC)

    def audiences(self) -> frozenset[str]:
        value = self.members.get("aud")
        return frozenset([value] if isinstance(value, str) else _texts(value, "claim_aud"))

    def check_times(self, now: datetime) -> None:
        """Refuse a token before or after its time, with leeway for clocks that differ."""
        seconds = now.timestamp()
        if seconds >= self.seconds("exp") + LEEWAY_SECONDS:
            raise TokenRefused("expired")
        if self.seconds("iat") > seconds + LEEWAY_SECONDS:
            raise TokenRefused("issued_in_the_future")
        if "nbf" in self.members and self.seconds("nbf") > seconds + LEEWAY_SECONDS:
            raise TokenRefused("not_yet_valid")

    def roles(self) -> frozenset[str]:
        """Read the roles that mean something here; a tenant's and an operator's do not mix."""
        access = self.members.get("realm_access")
        if not isinstance(access, dict):
            raise TokenRefused("claim_realm_access")
        found = frozenset(_texts(access.get("roles"), "claim_realm_access")) & frozenset(Role)
        if not found:
            raise TokenRefused("no_role")
        if found & TENANT_ROLES and found & OPERATOR_ROLES:
            raise TokenRefused("role_conflict")
        return found

    def tenant(self, roles: frozenset[str]) -> TenantId | None:
        """Read the tenant: required of its people, refused on operators, who belong to none."""
        if roles & OPERATOR_ROLES:
            if "tenant_id" in self.members:
                raise TokenRefused("tenant_of_operator")
            return None
        value = self.members.get("tenant_id")
        try:
            tenant = parse_uuid(value if isinstance(value, str) else "")
        except ValueError:
            raise TokenRefused("claim_tenant_id") from None
        if tenant == PLATFORM_TENANT:
            raise TokenRefused("claim_tenant_id")
        return TenantId(tenant)


def _texts(value: object, reason: str) -> list[str]:
    if not isinstance(value, list):
        raise TokenRefused(reason)
    texts = [item for item in value if isinstance(item, str)]
    if len(texts) != len(value):
        raise TokenRefused(reason)
    return texts
