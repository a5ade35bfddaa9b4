"""What a page says about whoever looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common.errors import Forbidden
from pulse_common.identity import Role
from ui_iot import access_store, store

if TYPE_CHECKING:
    from pulse_common.identity import Principal, TenantId
    from pulse_common.tenancy import Database, TenantTx

EVERYBODY = frozenset({Role.CUSTOMER, Role.TENANT_ADMIN})
ADMINISTRATORS = frozenset({Role.TENANT_ADMIN})
NOT_ACTIVE = (
    "your tenant is not active; administrators of one that is being deleted still reach /archive"
)
ANYBODY = EVERYBODY | {Role.OPERATOR, Role.OPERATOR_ADMIN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    name: str
    email: str
    tenant_name: str
    can_manage: bool
    is_operator: bool = False
    glass_broken: bool = False
    """Operators opened the tenant's data without its approval, and it is open still."""


def tenant_of(principal: Principal) -> TenantId:
    if principal.tenant is None:
        raise Forbidden("your account belongs to no tenant")
    return principal.tenant


async def require_active_tenant(tx: TenantTx) -> str:
    """Return the tenant's name.

    Raises:
        Forbidden: the tenant is unknown here or suspended.
    """
    tenant_name = await store.find_tenant_name(tx)
    if tenant_name is None:
        raise Forbidden(NOT_ACTIVE)
    return tenant_name


async def viewer_of(tx: TenantTx, principal: Principal) -> Viewer:
    """Describe the person.

    Raises:
        Forbidden: their tenant is unknown here or suspended.
    """
    tenant_name = await require_active_tenant(tx)
    can_manage = not ADMINISTRATORS.isdisjoint(principal.roles)
    return Viewer(
        name=_name(principal),
        email=principal.email,
        tenant_name=tenant_name,
        can_manage=can_manage,
        glass_broken=can_manage and await access_store.has_broken_glass(tx),
    )


async def find_viewer(db: Database, principal: Principal) -> Viewer:
    """Describe whoever asks for a page that is not about a tenant: operators have none.

    Raises:
        Forbidden: their tenant is unknown here or suspended.
    """
    if principal.tenant is None:
        return stranger(principal)
    async with db.tenant_connection(principal.tenant) as tx:
        return await viewer_of(tx, principal)


def stranger(principal: Principal) -> Viewer:
    """Describe somebody who has no tenant here that works: a name and a way to log out, nothing more."""
    return Viewer(
        name=_name(principal),
        email=principal.email,
        tenant_name="",
        can_manage=False,
        is_operator=principal.is_operator,
    )


def _name(principal: Principal) -> str:
    return principal.name or principal.username or principal.subject
