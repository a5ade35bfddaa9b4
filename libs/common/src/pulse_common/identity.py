"""Who is calling: the verified principal, its tenant and its roles."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NewType, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from datetime import datetime

TenantId = NewType("TenantId", UUID)


class Role(StrEnum):
    """The realm roles that mean something here; every other role of a token is dropped."""

    CUSTOMER = "customer"
    TENANT_ADMIN = "tenant-admin"
    OPERATOR = "operator"
    OPERATOR_ADMIN = "operator-admin"


TENANT_ROLES = frozenset({Role.CUSTOMER, Role.TENANT_ADMIN})
OPERATOR_ROLES = frozenset({Role.OPERATOR, Role.OPERATOR_ADMIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The bearer of one verified access token.

    ``tenant`` is set exactly when the roles are a tenant's, ``session_id`` is None for tokens that
    no log-in stands behind, ``authenticated_at`` is when the person last proved who they are.
    """

    subject: str
    tenant: TenantId | None
    roles: frozenset[str]
    session_id: str | None = None
    name: str = ""
    email: str = ""
    username: str = ""
    client: str = ""
    authentication_class: str = ""
    authenticated_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def is_operator(self) -> bool:
        return not OPERATOR_ROLES.isdisjoint(self.roles)


class TokenVerifier(Protocol):
    async def verify(self, token: str) -> Principal:
        """Return who the token speaks for, or raise ``pulse_common.jwt.TokenRefused``."""
        ...
