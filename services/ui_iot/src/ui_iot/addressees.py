"""Who is told by e-mail: whom a tenant has named, else its administrators; of the platform's notices, its operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common.ids import PLATFORM_TENANT
from pulse_common.mail import is_address
from ui_iot import access_store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pulse_common.identity import TenantId
    from pulse_common.tenancy import Database

    Administrators = Callable[[TenantId], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressees:
    """``administrators`` finds the addresses of a tenant that has named nobody."""

    db: Database
    administrators: Administrators
    operators: tuple[str, ...] = ()

    async def of(self, tenant: TenantId) -> list[str]:
        """Return each address once, and none that no mail could go to.

        Raises:
            Unavailable: the database or the identity provider is away.
        """
        if tenant == PLATFORM_TENANT:
            return list(self.operators)
        async with self.db.tenant_connection(tenant) as tx:
            policy = await access_store.read_policy(tx)
        found = policy.notice_emails or await self.administrators(tenant)
        return [one for one in dict.fromkeys(found) if is_address(one)]
