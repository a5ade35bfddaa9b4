"""Who is in a tenant's team, and what may be done to whom; no input or output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pulse_common.errors import Conflict
from pulse_common.identity import OPERATOR_ROLES, Role

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from pulse_common.identity import TenantId

TeamRole = Literal["customer", "tenant-admin"]
State = Literal["active", "invited", "disabled"]
ADMIN: TeamRole = "tenant-admin"
CUSTOMER: TeamRole = "customer"

_LAST = "this is the tenant's last administrator: make somebody else one first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody of the realm, whoever they belong to; ``awaits_password`` until they took up their invitation."""

    id: UUID
    email: str
    name: str
    tenant: str | None
    enabled: bool
    awaits_password: bool
    added_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Somebody of one tenant; ``role`` is None where an invitation was cut short: inviting again completes it."""

    id: UUID
    email: str
    name: str
    role: TeamRole | None
    state: State
    added_at: datetime | None
    has_one_role: bool

    @property
    def is_working_admin(self) -> bool:
        return self.role == ADMIN and self.state == "active"

    def holds_exactly(self, role: TeamRole) -> bool:
        return self.role == role and self.has_one_role


def is_of(account: Account, tenant: TenantId) -> bool:
    return account.tenant == str(tenant)


def member_of(account: Account, roles: frozenset[str], tenant: TenantId) -> Member | None:
    """Return the account as ``tenant`` may see it: not at all when it is another's, or an operator's."""
    if not is_of(account, tenant) or not OPERATOR_ROLES.isdisjoint(roles):
        return None
    return Member(
        id=account.id,
        email=account.email,
        name=account.name,
        role=_role(roles),
        state=_state(account),
        added_at=account.added_at,
        has_one_role=not {Role.CUSTOMER, Role.TENANT_ADMIN} <= roles,
    )


def require_another_admin(member: Member, others: list[Member]) -> None:
    """Refuse to take away the last administrator who can log in; somebody invited is not one yet.

    Raises:
        Conflict: there would be none.
    """
    if member.role == ADMIN and not any(
        other.is_working_admin for other in others if other.id != member.id
    ):
        raise Conflict(_LAST)


def _role(roles: frozenset[str]) -> TeamRole | None:
    if Role.TENANT_ADMIN in roles:
        return ADMIN
    return CUSTOMER if Role.CUSTOMER in roles else None


def _state(account: Account) -> State:
    if not account.enabled:
        return "disabled"
    return "invited" if account.awaits_password else "active"
